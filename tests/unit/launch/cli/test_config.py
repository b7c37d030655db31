"""`dual-hpc config`: what is printed can be trained with."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import RunConfig, load_config
from dual_hpc.run.directory import RunDir
from launch.cli.main import main


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUAL_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "store"


def shown(capsys: pytest.CaptureFixture[str], tmp_path: Path, *words: str) -> RunConfig:
    assert main(["config", "show", *words]) == 0
    (tmp_path / "shown.yaml").write_text(capsys.readouterr().out)
    return load_config(tmp_path / "shown.yaml")


@pytest.mark.parametrize("more", [[], ["--changed"]])
def test_what_is_shown_is_the_configuration(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "optim.lr=1e-5", "model.video.config={width: 8}"]
    assert shown(capsys, tmp_path, *words, *more) == load_config(words[0], words[1:])


def test_only_what_is_changed_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "training.epochs=3", "--changed"]) == 0
    assert capsys.readouterr().out == "training:\n  epochs: 3\n"
    assert main(["config", "show", "--changed"]) == 0
    assert capsys.readouterr().out == "{}\n"


def test_two_runs_differ_in_what_they_were_given(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, settings in (("a", []), ("b", ["optim.lr=1e-5", "launch.hours=3"])):
        RunDir.create(store / "runs" / name, load_config("demo", [f"name={name}", *settings]))
    assert main(["config", "diff", "a", "b"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [["setting", "a", "b"], ["name", "a", "b"], ["optim.lr", "0.002", "1e-05"], ["launch.hours", "1.0", "3.0"]]
    assert main(["config", "diff", "demo", "demo"]) == 0
    assert capsys.readouterr().out == "no setting differs\n"
