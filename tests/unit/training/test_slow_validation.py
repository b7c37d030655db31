"""A validation that takes longer than every limit is no hang, and a job that is killed in it has lost no step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dual_hpc.checkpoint.manifest import load
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read
from dual_hpc.run.names import step_folder
from dual_hpc.training.loop import FINISHED, run_session
from dual_hpc.training.stop_requests import StopRequests
from dual_hpc.training.stopping import StopFlag
from tests.unit.training.fakes import ValidationLoader, Watchdog, make_run, make_session

SCRIPT = """
import os, sys, time
from pathlib import Path
from dual_hpc import heartbeat
from dual_hpc.run.directory import RunDir
from dual_hpc.training.loop import run_session
from dual_hpc.training.stop_requests import StopRequests
from dual_hpc.training.stopping import StopFlag
from dual_hpc.training.watchdog import Watchdog
from tests.unit.training.fakes import batch, make_session

run, how = RunDir.open(sys.argv[1]), sys.argv[2]

class Slow:
    def __iter__(self):
        for number in range(8):
            time.sleep(0.4)
            yield batch(100 + number)
            if how == "kill" and number == 3:
                os._exit(9)
            if how == "hang" and number == 3:
                time.sleep(60)
    def close(self): pass

session = make_session(run, validation_loader=Slow())
dog = Watchdog(1.5, 1.5)
with heartbeat.on_beat(dog.progressed):
    print(run_session(session, StopRequests(StopFlag(), run.path, 0, {}, 60), dog))
"""


def job(run: RunDir, how: str) -> subprocess.CompletedProcess[str]:
    """A job whose validation takes twice as long as its watchdog's limit, in a process of its own."""
    command = [sys.executable, "-c", SCRIPT, str(run.path), how]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def metrics(run: RunDir) -> list[tuple[int | None, list[str]]]:
    return [(entry.step, sorted(entry.metrics)) for entry in read(run.journal) if entry.metrics]


def test_a_validation_that_makes_progress_is_not_ended_by_the_watchdog(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "training.epochs=1")
    ended = job(run, "progress")
    assert ended.stdout.endswith("finished\n"), ended.stderr
    assert [step for step, names in metrics(run) if "val/av/ua" in names] == [3]


@pytest.mark.parametrize(("how", "code"), [("kill", 9), ("hang", 1)])
def test_a_job_that_ends_in_a_validation_resumes_there_and_validates_once(tmp_path: Path, how: str, code: int) -> None:
    run, undisturbed = make_run(tmp_path / "run"), make_run(tmp_path / "undisturbed")
    assert job(run, how).returncode == code
    assert load(run.checkpoints / step_folder(3)).state["owes_validation"] is True

    for one in (run, undisturbed):
        session = make_session(one, validation_loader=ValidationLoader())
        assert session.state.step == (3 if one is run else 0)
        assert run_session(session, StopRequests(StopFlag(), one.path, 0, {}, 60), Watchdog()) == FINISHED  # type: ignore[arg-type]
    assert metrics(run) == metrics(undisturbed)
    for step in (3, 6):
        states = [load(one.checkpoints / step_folder(step)).state for one in (run, undisturbed)]
        assert states[0] == states[1] and states[0]["owes_validation"] is False
