"""Which Pythons are tried, and what is said of those that are not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from requirements.versions import copy_source, interpreter, main, tried

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def program(folder: Path, version: str, text: str) -> None:
    file = folder / f"python{version}"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_a_python_is_found_by_its_name_and_by_what_it_says_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program(tmp_path, OWN, f'exec {sys.executable} "$@"')
    program(tmp_path, "3.98", "echo not installed >&2; exit 127")  # as a shim of a version manager
    program(tmp_path, "3.97", f'exec {sys.executable} "$@"')
    assert interpreter(OWN) is not None
    assert [interpreter(version) for version in ("3.97", "3.98", "3.99")] == [None] * 3


def test_what_is_not_there_is_named_as_not_tried_and_nothing_tried_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["3.98"]) == 1
    assert capsys.readouterr().out.strip() == "Python 3.98: not tried: python3.98 is not on this machine"


def test_a_step_that_fails_is_shown_and_ends_the_trial_of_that_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path, "3.98", "echo no room; exit 1")
    (tmp_path / "there").mkdir()
    trial = tried("3.98", str(tmp_path / "python3.98"), tmp_path / "there", no_hashes=False)
    assert trial.failed and trial.outcome == "failed: make a virtual environment"
    assert "no room" in capsys.readouterr().out


def test_the_source_is_copied_without_what_python_left_in_it(tmp_path: Path) -> None:
    copy_source(tmp_path / "copy")
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert {"dual_hpc", "launch", "shards", "slurm", "pyproject.toml"} <= names and "tests" not in names
    assert not list((tmp_path / "copy").rglob("__pycache__"))
