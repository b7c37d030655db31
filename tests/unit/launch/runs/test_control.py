"""Which process `stop` and `cancel` signal: the controller of the run, whatever the run directory says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.run.directory import RunDir
from launch.cluster.slurm import MARK
from launch.cluster.state import State
from launch.records import submissions
from launch.runs.control import _signal_controller, cancel_runs, stop_runs
from launch.runs.status import RunStatus
from tests.unit.other_user import STRANGER, as_other_user, needs_root, open_folder


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    found = RunDir(tmp_path / "store" / "runs" / "mine")
    found.logs.mkdir(parents=True)
    return found


@pytest.fixture
def controller(run: RunDir) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose command line is that of the run's controller."""
    program = "import time; print('up', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", program, "launch.local", str(run.logs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def test_the_controller_of_another_run_is_left_alone(
    run: RunDir, controller: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    other = RunDir(tmp_path / "store" / "runs" / "theirs")
    other.logs.mkdir(parents=True)
    assert not _signal_controller(other, str(controller.pid), signal.SIGKILL)
    assert controller.poll() is None
    (tmp_path / "link").symlink_to(tmp_path / "store")
    same = RunDir(tmp_path / "link" / "runs" / "mine")
    assert _signal_controller(same, str(controller.pid), signal.SIGKILL)
    assert controller.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("job_id", ["", "self", "../self", "999999999", "-1", "12_3"])
def test_what_is_no_process_is_not_signalled(job_id: str, run: RunDir) -> None:
    assert not _signal_controller(run, job_id, signal.SIGKILL)


@needs_root
def test_of_runs_of_which_one_is_a_colleague_s_none_is_asked_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    status = RunStatus(State.RUNNING, "7", None, local=False, active=True)
    with open_folder() as store:
        runs = [RunDir(store / "runs" / name) for name in ("theirs", "mine")]
        for run in runs:
            run.path.mkdir(parents=True)
        os.chown(runs[0].path, STRANGER, STRANGER)  # for whom "mine" is the colleague's

        def stop() -> None:
            with pytest.raises(UserError, match=r"mine/stop cannot be written: .*; ask root, whose run it is"):
                stop_runs([(run, status) for run in runs])

        assert as_other_user(stop) == "None"
        assert not runs[0].stop_file.exists() and not runs[1].stop_file.exists()


@needs_root
def test_a_stop_works_where_it_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or a run directory that a group may write but whose records it may not."""
    monkeypatch.setenv("PATH", "/nowhere")
    status = RunStatus(State.RUNNING, "7", None, local=False, active=True)
    with open_folder() as store:
        run = RunDir(store / "runs" / "shared")
        run.path.mkdir(parents=True)
        run.path.chmod(0o777)
        submissions.record(run.path, submissions.Entry(event="submit", job_id="7"))
        said = as_other_user(lambda: stop_runs([(run, status)]))
        assert said == "['job 7 saves and stops']" and run.stop_file.exists()


def test_a_cancel_that_slurm_refuses_leaves_no_stop_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in (
        ("squeue", f'printf "%s|7|RUNNING|None|n1|N/A\\n" "{MARK}"'),
        ("scancel", 'echo "scancel: error: Kill job error on job id 7: Access/permission denied" >&2; exit 1'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    run = RunDir(tmp_path / "store" / "runs" / "theirs")
    run.path.mkdir(parents=True)
    submissions.record(run.path, submissions.Entry(event="submit", job_id="7"))
    status = RunStatus(State.RUNNING, "7", None, local=False, active=True)
    with pytest.raises(EnvironmentFault, match="permission denied"):
        cancel_runs([(run, status)])
    assert not run.stop_file.exists() and [entry.event for entry in submissions.read(run.path)] == ["submit"]
