"""The run's own records, and Slurm's word where there is one."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.this_job import node_name
from dual_hpc.tracking.mlflow_format import status_of
from launch.cluster import slurm
from launch.cluster.client import SlurmSilent
from launch.cluster.profiles import load_profile
from launch.cluster.slurm import Scheduler
from launch.cluster.state import State
from launch.job.local_job import LOCK
from launch.records import submissions
from launch.runs import control, status
from launch.runs.diagnosis import diagnose
from launch.runs.evidence import collect_evidence
from launch.runs.status import RunStatus, controller_lives, run_statuses, states_at_rest
from tests.unit.launch.fake_slurm import squeue


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    config = load_config("demo", [f"store={tmp_path}", "launch.profile=dev"])
    made = RunDir.create(tmp_path / "runs" / "demo", config)
    entry = submissions.Entry(event="submit", job_id="7", request=config.launch, profile=load_profile("dev"))
    submissions.record(made.path, entry)
    return made


def answering(text: str) -> Scheduler:
    return Scheduler(0, lambda words: squeue(text) if words[0] == "squeue" else "")


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
    assert found.state == "running" and "the states are those the runs wrote" in caplog.text


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


@pytest.mark.parametrize(
    ("hosts", "state"), [([node_name()], State.FAILED), (["elsewhere"], State.RUNNING), ([], State.RUNNING)]
)
def test_a_local_controller_that_was_killed_on_this_machine_is_not_said_to_run(
    tmp_path: Path, hosts: list[str], state: State
) -> None:
    config = load_config("demo", [f"store={tmp_path}"])
    run = RunDir.create(tmp_path / "runs" / "demo", config)
    entry = submissions.Entry(event="submit", job_id="7", request=config.launch, profile=load_profile("local"))
    submissions.record(run.path, entry)
    run.append_segment(Segment(event="start", job_id="7", hosts=hosts))
    run.journal.touch()
    (found,) = run_statuses([run], Scheduler(), time.time())
    assert found.state is state
    if state is State.FAILED:
        why = diagnose(collect_evidence(run, Scheduler()))
        assert why.state is State.FAILED and "process 7, which led it, has ended without a word" in why.sentence


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


def silent(words: Sequence[str]) -> str:
    raise EnvironmentFault("Slurm does not answer (squeue: Socket timed out)")


def test_why_says_that_slurm_is_silent_and_when_the_run_last_wrote(run: RunDir) -> None:
    run.append_segment(Segment(event="start", job_id="7"))
    run.journal.touch()
    os.utime(run.journal, (time.time() - 600, time.time() - 600))
    found = diagnose(collect_evidence(run, Scheduler(0, silent)))
    assert "whether job 7 runs is not known; the run last wrote 10 minutes ago, at step 0" in found.sentence
    run.append_segment(Segment(event="end", job_id="7", reason="finished"))
    assert "does not answer" not in diagnose(collect_evidence(run, Scheduler(0, silent))).sentence


def test_accounts_that_are_silent_make_no_job_lost(run: RunDir) -> None:
    def only_the_queue(words: Sequence[str]) -> str:
        if words[0] == "sacct":
            raise SlurmSilent("sacct: Connection refused")
        return ""

    run.append_segment(Segment(event="start", job_id="7"))
    (found,) = run_statuses([run], Scheduler(0, only_the_queue), 0.0)
    assert found.state is State.RUNNING and found.slurm_silent and not found.active


def test_a_run_is_stopped_through_its_file_alone_where_slurm_is_silent_or_refuses(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller that is down, and a colleague's job, which Slurm does not let one signal."""

    def refuses(words: Sequence[str], patience: float = 0) -> str:
        raise EnvironmentFault("scancel: Access/permission denied")

    monkeypatch.setattr(control, "call", refuses)
    for scheduler, said in (
        (Scheduler(0, silent), "once it finds the stop file"),
        (answering("7|RUNNING|None|n1\n"), "job 7 saves and stops"),
        (answering("7|PENDING|Priority|\n"), "once it finds the stop file"),
    ):
        (found,) = run_statuses([run], scheduler, 0.0, tolerant=True)
        (line,) = control.stop_runs([(run, found)])
        assert said in line and run.stop_file.exists()
        assert submissions.read(run.path)[-1].event == "stop" and submissions.read(run.path)[-1].cause is None
        run.stop_file.unlink()
        submissions.record(run.path, submissions.Entry(event="submit", job_id="7"))


def test_a_cancel_that_slurm_refuses_leaves_nothing_behind(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(words: Sequence[str], patience: float = 0) -> str:
        raise EnvironmentFault("scancel: Access/permission denied")

    scheduler = answering("7|RUNNING|None|n1\n")
    monkeypatch.setattr(control, "call", refuses)
    monkeypatch.setattr(control, "Scheduler", lambda: scheduler)
    (found,) = run_statuses([run], scheduler, 0.0)
    with pytest.raises(EnvironmentFault, match="permission denied"):
        control.cancel_runs([(run, found)])
    assert not run.stop_file.exists() and [entry.event for entry in submissions.read(run.path)] == ["submit"]
    run.stop_file.touch()
    with pytest.raises(EnvironmentFault):
        control.cancel_runs([(run, found)])
    assert run.stop_file.exists(), "the one that asked to stop stays asked"


def test_slurm_is_not_asked_about_runs_that_have_finished(run: RunDir) -> None:
    run.append_segment(Segment(event="end", job_id="7", reason="finished"))
    (found,) = run_statuses([run], Scheduler(0, silent), 0.0)
    assert found.state is State.FINISHED and not found.slurm_silent and not found.active


def test_a_job_that_still_waits_is_removed_by_a_second_stop_when_slurm_answers_again(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(control, "call", lambda words: calls.append(list(words)))
    (found,) = run_statuses([run], Scheduler(0, silent), 0.0, tolerant=True)
    control.stop_runs([(run, found)])
    assert calls == []
    (found,) = run_statuses([run], answering("7|PENDING|Priority|\n"), 0.0)
    assert control.stop_runs([(run, found)]) == ["job 7 has left the queue"]
    assert calls == [["scancel", "--quiet", "--state=PENDING", "7"]]


def test_slurm_is_asked_once_for_all_runs_and_accounting_once_for_those_that_have_ended(
    run: RunDir, tmp_path: Path
) -> None:
    runs = [run]
    for number in range(8, 20):
        made = RunDir.create(tmp_path / "runs" / f"demo-{number}", run.config())
        entry = submissions.Entry(event="submit", job_id=str(number), profile=load_profile("dev"))
        submissions.record(made.path, entry)
        runs.append(made)
    asked: list[str] = []

    def answer(words: Sequence[str]) -> str:
        asked.append(words[0])
        ended = "".join(f"{number}|TIMEOUT|None|n1\n" for number in range(10, 20))
        return squeue("7|RUNNING|None|n1\n8|PENDING|Priority|\n" + ended) if words[0] == "squeue" else ""

    found = run_statuses(runs, Scheduler(0, answer), 0.0)
    assert [one.state.value for one in found] == ["running", "queued", "lost", *["out of time"] * 10]
    assert asked == ["squeue", "sacct"]


def test_a_run_that_waits_again_after_its_ranks_were_killed_does_not_run_in_mlflow(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.append_segment(Segment(event="start", job_id="7"))
    for queue, state, tracked in (("PENDING|Priority|", "queued", "SCHEDULED"), ("RUNNING|None|n1", None, "RUNNING")):
        monkeypatch.setattr(slurm, "call", lambda words, patience, queue=queue: squeue(f"7|{queue}\n"))
        found = states_at_rest([run]).get(run.path)
        assert found == state and status_of(run.segments(), found) == tracked
