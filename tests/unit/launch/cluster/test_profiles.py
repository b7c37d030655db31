"""Profiles: those that ship are valid, and a mistake in one's own is one line that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.errors import UserError
from launch.cluster.profiles import Profile, load_profile, profile_names, profile_path
from launch.cluster.sbatch import sbatch_text


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_valid(name: str) -> None:
    assert load_profile(name).description


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"gpu_per_node: 4", "gpu_per_node: unknown key; did you mean gpus_per_node"),
        (b"xyz: 4", "xyz: unknown key; known are name, description"),
        (b"qos: {long: {hour: 5}}", "qos.long.hour: unknown key; did you mean hours"),
        (b"gpus_per_node: four", "gpus_per_node"),
        (b"max_nodes: 1.5", "max_nodes"),
        (b"qos: [long, short]", "qos"),
        (b"environment: {A B: x}", "environment.A B"),
        (b"environment: {A: 1}", "environment.A"),
        (b"signal_seconds: 100000", "signal_seconds"),
        (b"requeue: true\nrequeue: false", "requeue"),
        (b"extra: {time: 5}", "extra: time is not a valid extra option"),
        (b"extra: {bad key: 5}", "extra.bad key"),
        (b"modules: gcc", "modules"),
        (b"- a", "mapping"),
        (b"a: [", "cannot be used"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_broken_profile_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"launch\.profile: .*" + said) as caught:
        load_profile(str(path))
    assert "\n" not in str(caught.value)


def test_a_folder_is_not_a_profile(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").mkdir()
    with pytest.raises(UserError, match="Is a directory"):
        load_profile(str(tmp_path / "mine.yaml"))


def test_an_unknown_profile_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean jean-zay-a100"):
        load_profile("jean-zay-a10")


def test_a_file_of_ones_own_is_found_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xef\xbb\xbfmax_nodes: 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    for source in ("mine.yaml", "./mine.yaml", "~/mine.yaml", "$PLACE/mine.yaml"):
        assert profile_path(source) == tmp_path / "mine.yaml"
        assert load_profile(source) == Profile(name="mine", max_nodes=3)
    assert profile_path("dev") is None


def test_an_extra_option_is_a_flag_a_number_or_a_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text('extra: {exclusive: true, contiguous: false, nice: 5, mail-type: END, comment: "a b"}')
    lines = sbatch_text(load_profile(str(path)), LaunchConfig(), Path("/run"), "python").splitlines()
    assert {"#SBATCH --exclusive", "#SBATCH --nice=5", "#SBATCH --mail-type=END"} < set(lines)
    assert "#SBATCH --comment='a b'" in lines and not any("contiguous" in line for line in lines)
