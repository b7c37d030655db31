"""Nothing of a run directory that others own or may write is run, unless asked for with --trust."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.config.schema import LaunchConfig
from dual_hpc.files.ownership import first_risk
from dual_hpc.run import names
from dual_hpc.run.directory import RunDir
from launch.cli import main as command
from launch.cluster.code_archive import write_archive
from launch.cluster.profiles import load_profile
from launch.records import submissions
from launch.sweeps.grid import Member, Sweep, SweepDir, folder
from tests.unit.other_user import STRANGER, needs_root

ASKED = submissions.Entry(
    event="submit", job_id="1", request=LaunchConfig(profile="dev"), profile=load_profile("dev")
)  # of a Slurm that is not here: whatever is not refused for its owner is refused for that


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep `cv` of one run that was submitted and is idle."""
    store = tmp_path / "store"
    run = RunDir.create(store / "runs" / "cv.0", load_config("demo", [f"store={store}", "name=cv.0"]))
    write_archive(run.path)
    submissions.record(run.path, ASKED)
    sweep = SweepDir(folder(store, "cv"), Sweep(name="cv", members=[Member(name="cv.0", overrides=["seed=1"])]))
    (sweep.path / "logs").mkdir(parents=True)
    sweep.save()
    monkeypatch.setenv("DUAL_STORE", str(store))
    monkeypatch.setenv("PATH", "/nowhere")
    return store


VERBS = {
    "resume": ["resume", "cv.0"],
    "resume --new-code": ["resume", "cv.0", "--new-code"],
    "submit": ["submit", "--run", "cv.0", "--profile", "dev"],
    "sweep": ["sweep", "--resubmit", "cv"],
}


def _everybody(path: Path) -> None:
    path.chmod(0o777)


def _stranger(path: Path) -> None:
    os.chown(path, STRANGER, STRANGER)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("place", ["", names.CODE_ARCHIVE, names.SUBMISSIONS, "..", "../.."])
@pytest.mark.parametrize("change", [_everybody, pytest.param(_stranger, marks=needs_root)])
def test_a_run_of_others_is_refused_in_one_line_unless_trusted(
    change: Callable[[Path], None], place: str, verb: str, store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command.main(VERBS[verb]) == 2
    assert "no sbatch" in capfd.readouterr().err
    changed = (store / "runs" / "cv.0" / place).resolve()
    change(changed)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    assert command.main(VERBS[verb]) == 2
    said = capfd.readouterr().err
    assert f"error: {changed} " in said and "--trust" in said and said.count("\n") == 1
    assert before == {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    assert command.main([*VERBS[verb], "--trust"]) == 2
    assert "no sbatch" in capfd.readouterr().err


@needs_root
def test_training_on_this_machine_does_not_go_on_in_a_run_of_others(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    os.chown(store / "runs" / "cv.0", STRANGER, STRANGER)
    assert command.main(["train", "--run", "cv.0"]) == 2
    assert "--trust" in capfd.readouterr().err
    assert not list((store / "runs" / "cv.0" / "logs").iterdir())


def test_a_new_run_is_its_user_s_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run = RunDir.create(tmp_path / "store" / "runs" / "new", load_config("demo", [f"store={tmp_path / 'store'}"]))
        write_archive(run.path)
        submissions.record(run.path, ASKED)
    finally:
        os.umask(before)
    assert first_risk(run.path, names.EXECUTED, levels=0) is None
    assert [place for place in (run.checkpoints, run.tokenizer) if place.stat().st_mode & 0o022] == []
    assert run.reports.stat().st_mode & 0o777 == 0o777  # colleagues evaluate it as well
