"""The demonstration makes room for itself at nobody else's cost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launch.demo import clear, main


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("folder", ["corpora", "store"])
def test_a_folder_that_no_demonstration_made_is_left_alone(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / folder / "mine").mkdir(parents=True)
    assert main(["--out", str(tmp_path)]) == 2
    assert "choose another folder" in capsys.readouterr().err
    assert names(tmp_path) == {folder} and names(tmp_path / folder) == {"mine"}


@pytest.mark.parametrize("mark", [".demo", "summary.json"])
def test_an_earlier_demonstration_makes_room(mark: str, tmp_path: Path) -> None:
    (tmp_path / "store" / "runs").mkdir(parents=True)
    (tmp_path / "kept").touch()
    (tmp_path / mark).touch()
    clear(tmp_path)
    assert names(tmp_path) == {mark, ".demo", "kept"}


def test_a_demonstration_killed_at_its_beginning_is_known_the_next_time(tmp_path: Path) -> None:
    out = tmp_path / "new é" / "demo"
    clear(out)
    (out / "corpora").mkdir()
    clear(out)
    assert names(out) == {".demo"}


@pytest.mark.parametrize(("words", "visible"), [([], ""), (["--profile", "dev"], "0")])
def test_its_two_ranks_do_not_ask_for_the_gpus_of_this_machine(
    words: list[str], visible: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    main(["--out", str(tmp_path / "file"), *words])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--out", str(tmp_path / "file")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
