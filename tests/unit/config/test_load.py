from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config import config_hash, load_config, preset_names, save_config
from dual_hpc.errors import UserError


@pytest.mark.parametrize("preset", ["demo", "iemocap4", "iemocap6", "meld"])
def test_every_preset_loads_and_comes_back_from_its_file(preset: str, tmp_path: Path) -> None:
    config = load_config(preset)
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert preset in preset_names()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainin.epochs=3", "training"),
        ("training.epoch=3", "did you mean training.epochs"),
        ("training.epochs=many", "training.epochs"),
        ("training.epochs=0", "training.epochs"),
        ("training=3", "training"),
        ("name.x=3", "name"),
        ("name=../../etc", "name"),
        ("data.protocol=iemocap5", "data.protocol"),
        ("optim.lr", "section.key=value"),
        ("=3", "section.key=value"),
        ("data.shards=[", "YAML"),
        ("data.shards=['$DUAL_NOT_SET']", "DUAL_NOT_SET"),
    ],
)
def test_a_wrong_override_is_one_line_that_names_it(override: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config("demo", [override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"- a\n- b\n", b"a: [", b"model: {hiden_size: 3}"])
def test_a_broken_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_the_last_override_wins() -> None:
    assert load_config("demo", ["seed=1", "seed=2"]).seed == 2


@given(nodes=st.integers(1, 64), hours=st.floats(0.1, 100))
def test_the_identity_of_a_result_does_not_depend_on_the_job(nodes: int, hours: float) -> None:
    plain = load_config("demo")
    assert config_hash(load_config("demo", [f"launch.nodes={nodes}", f"launch.hours={hours}"])) == config_hash(plain)
    assert config_hash(load_config("demo", ["seed=1"])) != config_hash(plain)
