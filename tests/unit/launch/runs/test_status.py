"""The run's own records, and Slurm's word where there is one."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.run.directory import RunDir, Segment
from launch.cluster.profiles import load_profile
from launch.cluster.slurm import Scheduler
from launch.cluster.state import State
from launch.job.local_job import LOCK
from launch.records import submissions
from launch.runs import control, status
from launch.runs.status import RunStatus, controller_lives, run_statuses


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    config = load_config("demo", [f"store={tmp_path}", "launch.profile=dev"])
    made = RunDir.create(tmp_path / "runs" / "demo", config)
    entry = submissions.Entry(event="submit", job_id="7", request=config.launch, profile=load_profile("dev"))
    submissions.record(made.path, entry)
    return made


def answering(text: str) -> Scheduler:
    return Scheduler(0, lambda words: text if words[0] == "squeue" else "")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "available", lambda: True)


@pytest.mark.parametrize(
    ("queue", "state", "active"),
    [
        ("7|PENDING|Priority|\n", "queued", True),
        ("7|RUNNING|None|n1\n", "running", True),
        ("7|TIMEOUT|None|n1\n", "out of time", False),
        ("8|RUNNING|None|n1\n", "lost", False),
    ],
)
def test_slurm_tells_the_state_of_a_run_that_says_nothing(run: RunDir, queue: str, state: str, active: bool) -> None:
    (found,) = run_statuses([run], answering(queue), 0.0)
    assert (found.state, found.active, found.job_id) == (state, active, "7")


def test_a_silent_slurm_hides_no_run(run: RunDir, caplog: pytest.LogCaptureFixture) -> None:
    def silent(words: Sequence[str]) -> str:
        raise EnvironmentFault("squeue: cannot be reached")

    with pytest.raises(EnvironmentFault):
        run_statuses([run], Scheduler(0, silent), 0.0)
    run.append_segment(Segment(event="start", job_id="7"))
    (found,) = run_statuses([run], Scheduler(0, silent), 0.0, tolerant=True)
    assert found.state == "running" and "Slurm does not answer" in caplog.text


def test_a_cancelled_job_is_cancelled_though_it_wrote_nothing_and_slurm_has_forgotten_it(run: RunDir) -> None:
    for event in ("start", "end"):
        run.append_segment(Segment(event=event, job_id="6", reason="stopped" if event == "end" else None))
    assert run_statuses([run], answering(""), 0.0)[0].state == "lost"
    submissions.record(run.path, submissions.Entry(event="cancel", job_id="7"))
    assert run_statuses([run], answering(""), 0.0)[0].state == "cancelled"
    assert run_statuses([run], answering("7|RUNNING|None|n1\n"), 0.0)[0].state == "running"
    submissions.record(run.path, submissions.Entry(event="submit", job_id="8"))
    assert run_statuses([run], answering("8|PENDING|None|\n"), 0.0)[0].state == "queued"


def test_a_local_job_that_was_cancelled_before_its_first_step_is_not_called_stopped(tmp_path: Path) -> None:
    config = load_config("demo", [f"store={tmp_path}"])
    made = RunDir.create(tmp_path / "runs" / "demo", config)
    for event in ("start", "end"):
        made.append_segment(Segment(event=event, job_id="70", reason="stopped" if event == "end" else None))
    for event in ("submit", "cancel"):
        entry = submissions.Entry(event=event, job_id="71", request=config.launch, profile=load_profile("local"))
        submissions.record(made.path, entry)
    assert run_statuses([made], answering(""), 0.0)[0].state == "cancelled"


def test_what_does_not_run_can_be_neither_stopped_nor_cancelled(run: RunDir) -> None:
    (found,) = run_statuses([run], answering(""), 0.0)
    for act in (control.stop_runs, control.cancel_runs):
        with pytest.raises(UserError, match="no job works on demo"):
            act([(run, found)])
    assert not run.stop_file.exists()


def test_a_process_that_is_no_controller_is_left_alone(tmp_path: Path) -> None:
    made = RunDir.create(tmp_path / "runs" / "demo", load_config("demo", [f"store={tmp_path}"]))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        working = RunStatus(State.RUNNING, str(stranger.pid), None, local=True, active=True)
        assert control.stop_runs([(made, working)]) and made.stop_file.exists()
        with pytest.raises(UserError, match="another machine"):
            control.cancel_runs([(made, working)])
        assert [entry.event for entry in submissions.read(made.path)] == ["stop"]
        stranger.communicate(b"\n")
    assert stranger.returncode == 0


def test_the_lock_tells_whether_a_local_controller_lives(run: RunDir) -> None:
    assert not controller_lives(run)
    hold = f"import fcntl, sys; f = open({os.fspath(run.logs / LOCK)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX)"
    program = f"{hold}; print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        holder.stdout.readline()
        assert controller_lives(run)
        holder.stdin.close()
    assert not controller_lives(run)


def test_two_who_look_at_once_do_not_take_each_other_for_a_controller(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.logs / LOCK).touch()
    really = os.open

    def of_a_store_that_may_only_be_read(path: str, flags: int, *mode: int, **options: int) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return really(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", of_a_store_that_may_only_be_read)
    with open(run.logs / LOCK) as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not controller_lives(run)
