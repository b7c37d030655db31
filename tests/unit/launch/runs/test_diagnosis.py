"""One plain sentence for every way a run can be, and the word for its state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dual_hpc.run.directory import Segment
from launch.cluster.slurm import SlurmJob
from launch.records.failures import Failure
from launch.records.submissions import BY_USER, CTRL_C, QUEUED, Entry
from launch.runs.diagnosis import Evidence, diagnose
from launch.runs.status import RunStatus, state_of

GONE = RunStatus("failed", "7", None, local=False, active=False)
ENDED = Evidence("trial", GONE, step=12, total=40)
STOPPED = replace(GONE, state="stopped")
START = Segment(event="start", job_id="7")
STOP = Segment(event="end", job_id="7", reason="stopped")
LEFT = Entry(event="leave", job_id="7", cause="failure without a new checkpoint")


def slurm(state: str, *steps: str, **more: Any) -> SlurmJob:
    return SlurmJob("7", state, nodes="n[1-2]", exit_code="1:0", steps=steps, **more)


def failure(message: str, code: int = 1, **more: Any) -> Failure:
    return Failure(job_id="7", rank=1, host="n2", message=message, exit_code=code, log="/l", **more)


@pytest.mark.parametrize(
    ("evidence", "cause", "said"),
    [
        (replace(ENDED, status=replace(GONE, state="finished"), step=40), "finished", "finished at step 40 of 40"),
        (
            replace(ENDED, status=replace(GONE, state="queued", slurm=SlurmJob("7", "PENDING", "Resources"))),
            "queued",
            "(Resources)",
        ),
        (replace(ENDED, status=replace(GONE, state="running", active=True)), "running", "at step 12 of 40"),
        (
            replace(ENDED, status=replace(GONE, state="running", active=True), silent_seconds=1200),
            "hang",
            "nothing for 20 minutes",
        ),
        (replace(ENDED, past=slurm("TIMEOUT")), "time limit", "time limit"),
        (
            replace(ENDED, history=[Entry(event="leave", job_id="7", cause="time limit, and no continuation left")]),
            "time limit",
            "0 continuations",
        ),
        (replace(ENDED, past=slurm("PREEMPTED")), "preempted", "higher priority"),
        (replace(ENDED, past=slurm("CANCELLED")), "cancelled", "scancel"),
        (replace(ENDED, history=[Entry(event="cancel", job_id="7")]), "cancelled", "dual-hpc cancel"),
        (
            replace(
                ENDED,
                history=[
                    Entry(event="cancel", job_id="7"),
                    Entry(event="leave", job_id="7", cause="stopped by the user"),
                ],
            ),
            "cancelled",
            "dual-hpc cancel",
        ),
        (
            replace(ENDED, status=STOPPED, history=[Entry(event="leave", job_id="7", cause=BY_USER)]),
            "stopped",
            "stopped by `dual-hpc stop` at step 12 of 40, and saved",
        ),
        (
            replace(ENDED, status=STOPPED, history=[Entry(event="stop", job_id="7", cause=CTRL_C)]),
            "stopped",
            "stopped by Ctrl-C at step 12 of 40, and saved",
        ),
        (
            replace(ENDED, history=[Entry(event=event, job_id="7", cause=CTRL_C) for event in ("stop", "cancel")]),
            "cancelled",
            "cancelled by Ctrl-C",
        ),
        (
            replace(ENDED, status=STOPPED, history=[Entry(event="stop", job_id="7")]),
            "stopped",
            "and saved",
        ),
        (
            replace(ENDED, history=[Entry(event="leave", job_id="7", cause=BY_USER)]),
            "stopped",
            "before it could save",
        ),
        (
            replace(
                ENDED,
                history=[Entry(event="leave", job_id="7", cause=BY_USER)],
                failures=[failure("RuntimeError: boom")],
            ),
            "failed",
            "boom",
        ),
        (
            replace(
                ENDED,
                status=replace(GONE, state="cancelled"),
                past=slurm("CANCELLED"),
                history=[Entry(event="stop", job_id="7", cause=QUEUED)],
            ),
            "stopped",
            "taken out of the queue",
        ),
        (
            replace(
                ENDED,
                status=replace(GONE, state="cancelled"),
                past=slurm("CANCELLED"),
                history=[Entry(event="stop", job_id="7")],
            ),
            "cancelled",
            "scancel",
        ),
        (replace(ENDED, past=slurm("OUT_OF_MEMORY", "OUT_OF_MEMORY")), "out of memory", "n[1-2]"),
        (
            replace(ENDED, past=slurm("FAILED", "FAILED", "OUT_OF_MEMORY"), failures=[failure("peer is gone")]),
            "out of memory",
            "memory",
        ),
        (replace(ENDED, failures=[failure("OutOfMemoryError: CUDA out of memory")]), "out of memory", "rank 1 on n2"),
        (replace(ENDED, past=slurm("NODE_FAIL")), "node failure", "a node of n[1-2] failed"),
        (replace(ENDED, past=slurm("BOOT_FAIL")), "node failure", "a node of n[1-2] did not boot"),
        (replace(ENDED, past=slurm("DEADLINE")), "time limit", "time limit"),
        (
            replace(ENDED, failures=[failure("training.non_finite_limit: loss or gradient not finite in 3 steps", 2)]),
            "NaN",
            "not finite",
        ),
        (replace(ENDED, failures=[failure("data.global_batch=9: no", 2)]), "user error", "data.global_batch=9"),
        (
            replace(
                ENDED,
                hung=["rank_0000"],
                history=[LEFT],
            ),
            "hang",
            "rank_0000",
        ),
        (replace(ENDED, failures=[failure("RuntimeError: boom")]), "failed", "boom (rank 1 on n2)"),
        (
            replace(ENDED, history=[LEFT], failures=[failure("RuntimeError: boom")]),
            "failed",
            "boom (rank 1 on n2)",
        ),
        (replace(ENDED, history=[LEFT], last_words="No space"), "failed", "its last words: No space"),
        (replace(ENDED, past=slurm("FAILED"), last_words="Killed"), "unknown", "Killed"),
        (replace(ENDED, status=replace(GONE, state="gone")), "unknown", "does not know job 7"),
        (replace(ENDED, status=replace(GONE, state="ending", active=True)), "ending", "job 7 is ending"),
    ],
)
def test_every_end_has_its_sentence_and_its_advice(evidence: Evidence, cause: str, said: str) -> None:
    found = diagnose(evidence)
    assert found.cause == cause and said in found.sentence
    assert "\n" not in found.sentence + found.advice
    assert bool(found.advice) == (cause not in ("queued", "running", "ending"))


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("Resources", ""),
        ("Priority", ""),
        ("Dependency", ""),
        ("ReqNodeNotAvail, UnavailableNodes:n1", ""),
        ("QOSMaxCpuPerUserLimit", ""),
        ("JobHeldUser", "scontrol release 7"),
        ("JobHeldAdmin", "scontrol release 7"),
        ("job requeued in held state", "scontrol release 7"),
        ("launch_failed_requeued_held", "scontrol release 7"),
        ("DependencyNeverSatisfied", "dual-hpc cancel trial"),
        ("BadConstraints", "dual-hpc resume trial launch."),
        ("PartitionConfig", "dual-hpc resume trial launch."),
        ("PartitionTimeLimit", "dual-hpc resume trial launch."),
        ("QOSMaxWallDurationPerJobLimit", "dual-hpc resume trial launch."),
    ],
)
def test_a_job_that_waiting_does_not_help_is_told_so(reason: str, advice: str) -> None:
    waiting = replace(GONE, state="queued", slurm=SlurmJob("7", "PENDING", reason), active=True)
    found = diagnose(replace(ENDED, status=waiting))
    assert found.cause == "queued" and f"({reason})" in found.sentence
    assert advice in found.advice and bool(found.advice) == bool(advice)


def test_what_befell_a_run_on_its_way_is_told() -> None:
    evidence = replace(
        ENDED,
        status=replace(GONE, state="finished"),
        history=[Entry(event="requeue", job_id="7", cause="preempted")],
        past=slurm("COMPLETED", earlier=("REQUEUED",)),
    )
    assert "requeue after preempted, restarted by Slurm after requeued" in diagnose(evidence).sentence


@pytest.mark.parametrize(
    ("segments", "job", "state"),
    [
        ([], None, "submitted"),
        ([], SlurmJob("7", "PENDING"), "queued"),
        ([], SlurmJob("7", "FAILED"), "failed"),
        ([START], SlurmJob("7", "RUNNING"), "running"),
        ([START], SlurmJob("7", "CANCELLED"), "cancelled"),
        ([START, STOP], SlurmJob("8", "CANCELLED"), "cancelled"),
        ([START, Segment(event="end", job_id="7", reason="finished")], SlurmJob("7", "CANCELLED"), "finished"),
        ([START, STOP], SlurmJob("8", "FAILED"), "failed"),
        ([START, STOP], SlurmJob("7", "NODE_FAIL"), "failed"),
        ([START, STOP], SlurmJob("7", "REQUEUE_HOLD"), "queued"),
        ([START, STOP], SlurmJob("7", "CONFIGURING"), "queued"),
        ([START], SlurmJob("7", "COMPLETING"), "ending"),
        ([START], SlurmJob("7", "TIMEOUT"), "out of time"),
        ([START], None, "running"),
        ([START, Segment(event="end", job_id="7", reason="finished")], SlurmJob("7", "RUNNING"), "finished"),
        ([START, STOP], SlurmJob("7", "PENDING"), "queued"),
        ([START, STOP], SlurmJob("7", "COMPLETED"), "stopped"),
        ([START, Segment(event="end", job_id="7", reason="failed")], SlurmJob("7", "FAILED"), "failed"),
    ],
)
def test_a_state_is_one_word(segments: list[Segment], job: SlurmJob | None, state: str) -> None:
    assert state_of(segments, 0.0, job) == state


def test_what_an_earlier_job_said_of_its_end_is_not_said_of_this_one() -> None:
    assert state_of([START, STOP], 0.0, job_id="7") == "stopped"
    assert state_of([START, STOP], 0.0, job_id="8") == "submitted"


def test_a_run_that_fell_silent_is_not_called_running() -> None:
    assert state_of([START], 1e4) == "silent" and state_of([START], 1e4, local_lives=True) == "running"
