"""Every row of the table: what a job that ended early may do."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.errors import EnvironmentFault
from launch.cluster import client, job_facts
from launch.cluster.job_facts import JobFacts, parse_facts
from launch.cluster.profiles import Profile
from launch.job import requeue
from launch.job.requeue import Decision, Policy, decide, patience_of_job, requeue_or_chain
from launch.job.slurm_job import RankFunction
from launch.records import failures, submissions
from launch.records.submissions import (
    Entry,
    bad_nodes,
    continuations_allowed,
    continuations_used,
    jobs,
    last_failure_step,
    last_job,
)

RUNNING = JobFacts("RUNNING", restarts=0, reason="None", preempted=False, seconds_left=3600)
POLICY = Policy(restart_count=0, may_requeue=True, signal_seconds=60, continuations_used=0, continuations_allowed=10)


@pytest.mark.parametrize(
    ("facts", "action", "cause"),
    [
        (replace(RUNNING, seconds_left=90), "requeue", "time limit"),
        (replace(RUNNING, preempted=True), "requeue", "preempted"),
        (RUNNING, "requeue", "signal"),
        (replace(RUNNING, seconds_left=None), "requeue", "signal"),
        (replace(RUNNING, state="COMPLETING", restarts=1), "leave", "requeued by Slurm"),
        (replace(RUNNING, restarts=1), "leave", "requeued by Slurm"),
        (replace(RUNNING, state="COMPLETING"), "leave", "cancelled"),
        (replace(RUNNING, state="COMPLETING", reason="TimeLimit"), "requeue", "time limit"),
        (replace(RUNNING, state="CANCELLED"), "leave", "cancelled"),
        (replace(RUNNING, state=""), "leave", "unknown to Slurm"),
    ],
)
def test_what_slurm_says_decides(facts: JobFacts, action: str, cause: str) -> None:
    decision = decide(facts, POLICY)
    assert (decision.action, decision.cause) == (action, cause)
    chained = decide(facts, replace(POLICY, may_requeue=False))
    assert chained.action == ("chain" if action == "requeue" else action)


@given(
    state=st.sampled_from(["RUNNING", "COMPLETING", "PENDING", "CANCELLED", ""]),
    restarts=st.integers(0, 3),
    reason=st.sampled_from(["None", "TimeLimit", "Prolog"]),
    preempted=st.booleans(),
    left=st.one_of(st.none(), st.floats(-100, 1e5)),
    failed=st.booleans(),
)
def test_a_cancelled_job_never_rises_and_a_stopped_run_stays_so(
    state: str, restarts: int, reason: str, preempted: bool, left: float | None, failed: bool
) -> None:
    facts = JobFacts(state, restarts, reason, preempted, left)
    assert decide(facts, replace(POLICY, stop_asked=True), failed).action == "leave"
    assert decide(facts, replace(POLICY, user_error=True), failed).action == "leave"
    if state == "COMPLETING" and reason != "TimeLimit":
        assert decide(facts, POLICY, failed).action == "leave"
    if restarts > POLICY.restart_count:
        assert decide(facts, POLICY, failed).action == "leave"


def test_only_preemption_is_free_of_the_budget() -> None:
    poor = replace(POLICY, continuations_used=10)
    assert decide(replace(RUNNING, seconds_left=1), poor).action == "leave"
    assert decide(RUNNING, poor).action == "leave"
    assert decide(replace(RUNNING, preempted=True), poor).action == "requeue"


def test_a_failure_goes_on_only_from_a_newer_checkpoint() -> None:
    assert decide(RUNNING, POLICY, failed=True).action == "leave"  # nothing saved: it would fail again
    assert decide(RUNNING, replace(POLICY, newest_step=10), failed=True).cause == "failure"
    assert decide(RUNNING, replace(POLICY, newest_step=10, last_failure_step=10), failed=True).action == "leave"
    assert decide(RUNNING, replace(POLICY, newest_step=20, last_failure_step=10), failed=True).action == "requeue"


def test_a_bad_node_is_left_even_before_the_first_checkpoint() -> None:
    bad = replace(POLICY, bad_node=True)
    assert decide(RUNNING, bad, failed=True) == Decision("chain", "bad node")
    assert decide(RUNNING, replace(bad, continuations_used=10), failed=True).action == "leave"
    told = [
        Entry(event="requeue", job_id="1", bad_nodes=["n2"]),
        Entry(event="chain", job_id="2", bad_nodes=["n1", "n2"]),
    ]
    assert bad_nodes(told) == ["n1", "n2"] and bad_nodes([*told, Entry(event="submit", job_id="3")]) == []


def test_the_history_counts_what_the_decision_needs() -> None:
    entries = [
        Entry(event="submit", job_id="1"),
        Entry(event="requeue", job_id="1", cause="time limit"),
        Entry(event="submit", job_id="2"),
        Entry(event="requeue", job_id="2", cause="preempted"),
        Entry(event="chain", job_id="3", cause="failure", step=20),
        Entry(event="requeue", job_id="3", cause="time limit", step=40),
    ]
    assert continuations_used(entries) == 2 and last_failure_step(entries) == 20
    assert jobs(entries) == ["1", "2", "3"] and last_job(entries) == "3"
    assert continuations_used(entries[:2]) == 1 and last_failure_step(entries[:4]) == 0


@pytest.mark.parametrize(("hours", "total", "most"), [(20, 100, 4), (20, 101, 5), (20, 10, 0), (20, None, 10)])
def test_the_total_hours_bound_the_continuations(hours: float, total: float | None, most: int) -> None:
    assert continuations_allowed(LaunchConfig(hours=hours, total_hours=total)) == most


def test_scontrol_is_parsed() -> None:
    text = (
        "JobId=7 JobName=a b=c JobState=RUNNING Reason=None Dependency=(null) Restarts=2 RunTime=00:00:10 "
        "EndTime=2026-01-01T00:01:00 PreemptTime=2026-01-01T00:00:10 NodeList=n[1-2]\n"
    )
    import time

    now = time.mktime(time.strptime("2026-01-01T00:00:00", "%Y-%m-%dT%H:%M:%S"))
    assert parse_facts(text, now) == JobFacts("RUNNING", 2, "None", True, 60.0)
    assert parse_facts("JobId=7 JobState=PENDING EndTime=Unknown PreemptTime=None", now).seconds_left is None
    assert parse_facts("", now).state == ""


class Controller:
    """Stands for Slurm's controller: says one thing about the job, and remembers what it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, facts: JobFacts) -> None:
        self.told: list[str] = []
        monkeypatch.setattr(job_facts, "facts", lambda job_id, patience: facts)
        monkeypatch.setattr(client, "call", self.command)
        monkeypatch.setattr(signal, "pthread_sigmask", lambda how, mask: None)  # this process is not the job's

    def command(self, words: list[str], patience: float) -> str:
        self.told.append(" ".join(words))
        return ""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    asked = Entry(event="submit", job_id="7", request=LaunchConfig(), profile=Profile(name="dev"))
    submissions.record(tmp_path, asked)
    return tmp_path


def work(folder: str) -> str:
    return folder


def failed(run: Path, message: str, restart_count: int = 0, **more: Any) -> None:
    said = {"job_id": "7", "rank": 1, "host": "n2", "message": message, "exit_code": 1, "log": ""}
    failures.record(run / "logs", failures.Failure(**said, restart_count=restart_count, **more))


@pytest.mark.parametrize("code", [128 + signal.SIGUSR2, 128 + signal.SIGTERM])
def test_ranks_that_a_signal_ended_before_they_could_hear_it_go_on(
    run: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    slurm = Controller(monkeypatch, RUNNING)
    assert requeue_or_chain(run, "7", 0, work, failed=True, exit_code=code) == Decision("requeue", "signal")
    assert slurm.told == ["scontrol requeue 7"]
    failed(run, "broken")
    assert requeue_or_chain(run, "7", 0, work, failed=True, exit_code=code).action == "leave"


def test_nodes_that_were_named_are_avoided_by_the_next_job_also_those_of_earlier_ones(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Controller(monkeypatch, RUNNING)
    chained: list[tuple[list[str], list[str]]] = []

    def submit(
        work: RankFunction,
        run: Path,
        request: LaunchConfig,
        profile: Profile,
        entry: Entry,
        after: list[str],
        patience: float,
    ) -> None:
        chained.append((after, entry.bad_nodes))
        submissions.record(run, entry)

    monkeypatch.setattr(requeue, "submit_slurm", submit)
    failed(run, "node n3: no answer", bad_nodes=["n3"])
    assert requeue_or_chain(run, "7", 0, work, failed=True) == Decision("chain", "bad node")
    failed(run, "node n1: /dev/shm has only 0 MB free", restart_count=1, bad_nodes=["n1"])
    requeue_or_chain(run, "7", 1, work, failed=True)
    assert chained == [(["7"], ["n3"]), (["7"], ["n1", "n3"])]


def test_a_requeue_that_slurm_accepted_without_saying_so_counts(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [RUNNING, replace(RUNNING, state="COMPLETING", restarts=1)]
    monkeypatch.setattr(job_facts, "facts", lambda job_id, patience: answers.pop(0))

    def refused(words: list[str], patience: float) -> str:
        raise EnvironmentFault("scontrol: Job is in the process of being requeued")

    monkeypatch.setattr(client, "call", refused)
    monkeypatch.setattr(signal, "pthread_sigmask", lambda how, mask: None)
    assert requeue_or_chain(run, "7", 0, work) == Decision("requeue", "signal")
    assert [entry.event for entry in submissions.read(run)] == ["submit", "requeue"]
    answers[:] = [RUNNING, RUNNING]
    assert requeue_or_chain(run, "7", 0, work).action == "leave"


@pytest.mark.parametrize(
    ("end", "seconds"), [("1100", 85), ("1010", 10), ("900", 10), ("99999", 900), ("", 900), ("soon", 900)]
)
def test_a_job_waits_for_slurm_nearly_as_long_as_it_has_time(end: str, seconds: float) -> None:
    assert patience_of_job({"SLURM_JOB_END_TIME": end}, 1000) == seconds


def test_a_slurm_that_does_not_answer_leaves_the_run_where_it_is(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Controller(monkeypatch, RUNNING)

    def silent(job_id: str, patience: float) -> JobFacts:
        raise EnvironmentFault("scontrol does not answer")

    monkeypatch.setattr(job_facts, "facts", silent)
    assert requeue_or_chain(run, "7", 0, work) == Decision("leave", "could not continue: scontrol does not answer")
    assert submissions.read(run)[-1].event == "leave"


def test_the_user_is_notified_when_a_run_does_not_go_on_and_only_then(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str | None, str, str]] = []
    monkeypatch.setattr(requeue, "notify", lambda command, run, state, message: told.append((command, state, message)))
    asked = Entry(event="submit", job_id="7", request=LaunchConfig(notify="ntfy x"), profile=Profile(name="dev"))
    submissions.record(run, asked)
    Controller(monkeypatch, RUNNING)
    requeue_or_chain(run, "7", 0, work)
    assert told == []
    failed(run, "boom")
    requeue_or_chain(run, "7", 0, work, failed=True)
    (run / "STOP").touch()
    monkeypatch.setattr(requeue.names, "STOP_FILE", "STOP")
    requeue_or_chain(run, "7", 0, work)
    assert told == [("ntfy x", "failed", "boom"), ("ntfy x", "stopped", submissions.BY_USER)]
    Controller(monkeypatch, replace(RUNNING, restarts=1))
    (run / "STOP").unlink()
    requeue_or_chain(run, "7", 0, work)
    assert len(told) == 2, "Slurm has requeued it"


def srun_said(run: Path, batch: str, **tasks: str) -> None:
    """What a job's batch script and its tasks have printed."""
    (run / "logs" / "7_0_log.out").write_text(batch)
    for task, text in tasks.items():
        (run / "logs" / f"7_{task.removeprefix('task')}_log.out").write_text(text)


LACKS = "slurmstepd-n4: error: execve(): /env/bin/python: No such file or directory\n"
ENDED = """srun: error: n4: task 1: Exited with exit code 2
srun: launch/slurm: _step_signal: Terminating StepId=7.0
srun: error: n3: task 0: Terminated
"""


def test_a_node_without_the_environment_is_avoided_and_taken_for_no_signal(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """srun returns 143, the code of the tasks that it has ended itself."""
    Controller(monkeypatch, RUNNING)
    chained: list[list[str]] = []
    monkeypatch.setattr(requeue, "submit_slurm", lambda *args: chained.append(args[4].bad_nodes))
    asked = Entry(event="submit", job_id="7", request=LaunchConfig(nodes=2), profile=Profile(name="dev"))
    submissions.record(run, asked)
    srun_said(run, ENDED, task1=LACKS)
    assert requeue_or_chain(run, "7", 0, work, failed=True, exit_code=143) == Decision("chain", "bad node")
    assert chained == [["n4"]]
    srun_said(run, ENDED, task1="Traceback\n")
    assert requeue_or_chain(run, "7", 0, work, failed=True, exit_code=143).action == "leave", (
        "it failed, and saved nothing"
    )
