"""One state for every way a run can be, and the plain sentence that explains it: both from the same evidence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from dual_hpc.run.directory import Segment
from launch.cluster.job_record import SlurmJob, Usage
from launch.cluster.state import ACTIVE, State
from launch.records.failures import Failure
from launch.records.submissions import BY_USER, CTRL_C, QUEUED, REFUSED, Entry
from launch.runs.allocations import Allocations
from launch.runs.diagnosis import diagnose
from launch.runs.findings import Diagnosis, Evidence
from launch.runs.state import RunRecords, run_state
from launch.runs.status import RunStatus

SUBMIT = Entry(event="submit", job_id="7")
START = Segment(event="start", job_id="7")
STOP = Segment(event="end", job_id="7", reason="stopped")
END = Segment(event="end", job_id="7", reason="finished")
LEFT = Entry(event="leave", job_id="7", cause="failure without a new checkpoint")
TOLD = Entry(event="leave", job_id="7", cause=BY_USER)


def slurm(state: str, *steps: str, **more: Any) -> SlurmJob:
    return SlurmJob("7", state, nodes="n[1-2]", exit_code="1:0", steps=steps, **more)


def failure(message: str, code: int = 1, **more: Any) -> Failure:
    return Failure(job_id="7", rank=1, host="n2", message=message, exit_code=code, log="/l", **more)


def asked(event: Any, cause: str | None = None) -> Entry:
    return Entry(event=event, job_id="7", cause=cause)


def explained(
    *history: Entry,
    segments: Sequence[Segment] = (START,),
    job: SlurmJob | None = None,
    failures: Sequence[Failure] = (),
    silent: float = 0.0,
    local_alive: bool = False,
    slurm_answers: bool = False,
    **more: Any,
) -> Diagnosis:
    """What `why` says, given the state that `status` shows."""
    records = RunRecords(segments, (SUBMIT, *history), failures, silent)
    state = run_state(records, job, local_alive=local_alive, slurm_answers=slurm_answers)
    status = RunStatus(state, "7", job, local_alive, state in ACTIVE)
    saved = records.own_end is State.STOPPED
    found = diagnose(
        Evidence("trial", status, records.history, saved, 12, 40, silent, job, failures=failures, **more),
    )
    assert found.state is state, "status and why use the same word"
    return found


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        (explained(segments=[START, END]), "finished", "finished at step 12 of 40"),
        (explained(segments=[]), "submitted", "job 7 was submitted"),
        (explained(job=SlurmJob("7", "PENDING", "Resources")), "queued", "(Resources)"),
        (explained(job=slurm("RUNNING")), "running", "at step 12 of 40"),
        (explained(local_alive=True), "running", "at step 12 of 40"),
        (explained(job=slurm("SUSPENDED")), "suspended", "Slurm has suspended job 7"),
        (explained(job=slurm("COMPLETING")), "ending", "job 7 is ending"),
        (explained(job=slurm("TIMEOUT")), "out of time", "time limit"),
        (explained(job=slurm("DEADLINE")), "out of time", "time limit"),
        (
            explained(
                asked("leave", "time limit, and no continuation left"), segments=[START, STOP], job=slurm("COMPLETED")
            ),
            "out of time",
            "0 continuations",
        ),
        (explained(job=slurm("PREEMPTED")), "preempted", "higher priority"),
        (explained(job=slurm("CANCELLED")), "cancelled", "cancelled by someone's scancel"),
        (explained(asked("cancel")), "cancelled", "cancelled by `dual-hpc cancel`"),
        (explained(asked("cancel"), TOLD), "cancelled", "dual-hpc cancel"),
        (explained(asked("stop", CTRL_C), asked("cancel", CTRL_C)), "cancelled", "cancelled by Ctrl-C"),
        (explained(asked("stop"), job=slurm("CANCELLED")), "cancelled", "scancel"),
        (
            explained(TOLD, segments=[START, STOP], job=slurm("COMPLETED")),
            "stopped",
            "stopped by `dual-hpc stop` at step 12 of 40, and saved",
        ),
        (
            explained(asked("stop", CTRL_C), segments=[START, STOP]),
            "stopped",
            "stopped by Ctrl-C at step 12 of 40, and saved",
        ),
        (explained(asked("stop"), segments=[START, STOP]), "stopped", "and saved"),
        (explained(segments=[START, STOP]), "stopped", "stopped by a signal at step 12 of 40, and saved"),
        (explained(TOLD, job=slurm("FAILED")), "stopped", "before it could save"),
        (explained(asked("stop"), segments=[], job=slurm("COMPLETED")), "stopped", "before it could save"),
        (explained(TOLD, job=slurm("FAILED"), failures=[failure("RuntimeError: boom")]), "failed", "boom"),
        (explained(asked("stop", QUEUED), job=slurm("CANCELLED")), "stopped", "removed from the queue"),
        (explained(job=slurm("OUT_OF_MEMORY", "OUT_OF_MEMORY")), "out of memory", "n[1-2]"),
        (
            explained(job=slurm("FAILED", "FAILED", "OUT_OF_MEMORY"), failures=[failure("peer is gone")]),
            "out of memory",
            "rank 1 on n2",
        ),
        (explained(failures=[failure("OutOfMemoryError: CUDA out of memory")]), "out of memory", "rank 1 on n2"),
        (explained(job=slurm("NODE_FAIL")), "node failure", "a node of n[1-2] failed"),
        (explained(job=slurm("BOOT_FAIL")), "node failure", "a node of n[1-2] did not boot"),
        (explained(job=slurm("FAILED"), failures=[failure("data.global_batch=9: no", 2)]), "user error", "=9"),
        (explained(LEFT, job=slurm("FAILED"), failures=[failure("RuntimeError: boom")]), "failed", "(rank 1 on n2)"),
        (explained(failures=[failure("RuntimeError: boom")]), "failed", "boom (rank 1 on n2)"),
        (explained(LEFT, job=slurm("FAILED"), last_words="No space"), "failed", "last line of the log: No space"),
        (explained(job=slurm("FAILED"), last_words="Killed"), "failed", "Slurm says failed (1:0); last line of"),
        (explained(job=slurm("COMPLETED")), "failed", "Slurm says completed"),
        (explained(job=slurm("ON_FIRE")), "unknown", "Slurm says on_fire"),
        (explained(slurm_answers=True), "lost", "does not know job 7"),
        (explained(silent=1200.0), "silent", "has written nothing for 20 minutes"),
    ],
)
def test_every_end_has_its_sentence_and_its_advice(found: Diagnosis, state: str, said: str) -> None:
    assert found.state == state and said in found.sentence
    assert "\n" not in found.sentence + found.advice
    assert bool(found.advice) == (found.state not in ACTIVE)
    assert found.as_json()["cause"] == state


def test_a_checkpoint_is_promised_only_where_there_is_one() -> None:
    for job in (slurm("TIMEOUT"), slurm("CANCELLED"), slurm("NODE_FAIL"), slurm("OUT_OF_MEMORY"), slurm("FAILED")):
        without, with_one = explained(job=job, hung=["rank_0000"]), explained(job=job, checkpoint=9)
        assert "begins again at step 0: it has no checkpoint" in without.advice
        assert "continues after step 9" in with_one.advice


def test_a_cause_may_be_finer_than_the_state() -> None:
    hangs = [
        explained(LEFT, job=slurm("FAILED"), hung=["rank_0000"]),
        explained(job=slurm("RUNNING"), silent=1200.0),
    ]
    assert [(found.state, found.cause) for found in hangs] == [(State.FAILED, "hang"), (State.RUNNING, "hang")]
    assert "rank_0000" in hangs[0].sentence and "nothing for 20 minutes" in hangs[1].sentence
    message = "training.non_finite_limit: loss or gradient not finite in 3 steps"
    nan = explained(job=slurm("FAILED"), failures=[failure(message, 2)])
    assert nan.as_json() | {"advice": ""} == {
        "state": "user error",
        "cause": "NaN",
        "sentence": f"the loss was not finite at step 12 of 40: {message}",
        "advice": "",
    }


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
def test_a_job_that_never_begins_by_waiting_has_advice(reason: str, advice: str) -> None:
    found = explained(job=SlurmJob("7", "PENDING", reason))
    assert found.state is State.QUEUED and f"({reason})" in found.sentence
    assert advice in found.advice and bool(found.advice) == bool(advice)


def test_each_interruption_since_the_last_submission_is_told_once() -> None:
    def told(*history: Entry, earlier: tuple[str, ...] = ()) -> str:
        job = replace(slurm("COMPLETED"), earlier=earlier)
        return explained(*history, segments=[START, END], job=job).sentence.partition("so far: ")[2]

    preempted, limit = asked("requeue", "preempted"), asked("requeue", "time limit")
    assert (
        told(preempted, earlier=("PREEMPTED",)) == told(preempted, earlier=("REQUEUED",)) == "requeue after preempted"
    )
    assert told(limit, limit, earlier=("REQUEUED", "REQUEUED")) == "requeue after time limit (2 times)"
    assert told(limit, earlier=("REQUEUED", "NODE_FAIL")) == (
        "requeue after time limit, restarted by Slurm after node_fail"
    )
    assert told(earlier=("REQUEUED",)) == "restarted by Slurm after requeued", "somebody's scontrol requeue"
    assert told(limit, limit, SUBMIT, preempted, earlier=("PREEMPTED",)) == "requeue after preempted"
    assert told(asked("requeue", "preempted"), Entry(event="submit", job_id="7")) == ""


def test_a_waiting_job_says_when_slurm_expects_it_to_begin() -> None:
    now = time.mktime((2026, 11, 26, 12, 0, 0, 0, 0, -1))
    same = explained(job=SlurmJob("7", "PENDING", "Priority", start="2026-11-26T14:12:00"), now=now)
    assert same.sentence == "job 7 waits in the queue (Priority); Slurm expects it to begin at 14:12, in 2.2 hours"
    other = explained(job=SlurmJob("7", "PENDING", "Priority", start="2026-11-28T01:00:00"), now=now)
    assert "at 2026-11-28 01:00, in 37.0 hours" in other.sentence
    assert "expects" not in explained(job=SlurmJob("7", "PENDING", "Priority", start="Unknown"), now=now).sentence


@pytest.mark.parametrize(
    "said",
    [
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB",
        "AcceleratorError: CUDA error: out of memory",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "DistBackendError: NCCL error in: x.cpp:1, unhandled cuda error 'out of memory'",
    ],
)
def test_the_memory_of_a_gpu_is_told_from_that_of_its_node(said: str) -> None:
    found = explained(failures=[failure(said)])
    assert found.state == State.OUT_OF_MEMORY and "a GPU ran out of memory" in found.sentence
    assert "data.micro_batch" in found.advice and "training.zero_stage" in found.advice
    host = explained(failures=[failure("MemoryError: 80 GiB")])
    assert host.state == State.OUT_OF_MEMORY and "a process ran out" in host.sentence
    assert "launch.memory" in host.advice and "data.workers" in host.advice


def test_out_of_memory_says_what_the_job_had_and_what_its_largest_process_used() -> None:
    job = replace(slurm("OUT_OF_MEMORY"), usage=Usage(seconds=60, memory=4 * 2**30, peak_memory=3.5 * 2**30))
    assert "the job had 4.0 GB per node; its largest process used 3.5 GB" in explained(job=job).sentence


def test_a_time_limit_that_is_too_short_is_told_while_the_run_goes_on_and_at_its_end() -> None:
    limit, short = asked("requeue", "time limit"), Allocations(2, 6, 20, 120)
    gone_on = explained(limit, limit, job=slurm("RUNNING"), allocations=short).sentence
    assert gone_on.endswith(
        "requeue after time limit (2 times), 3 steps per allocation, of which starting up took 92 %"
    )
    ended = explained(limit, job=slurm("TIMEOUT"), allocations=short)
    assert "after 1 continuations; 3 steps per allocation" in ended.sentence and "ask for more" in ended.advice
    enough = explained(limit, job=slurm("TIMEOUT"), allocations=replace(short, training_seconds=230)).advice
    assert "ask for more" not in enough and "launch.hours= for more" in enough


def test_a_bad_node_is_named_where_the_run_has_left_it() -> None:
    left = [
        Entry(event="chain", job_id="8", cause="bad node", bad_nodes=["n1"]),
        Entry(event="chain", job_id="9", cause="bad node", bad_nodes=["n1", "n4"]),
        Entry(event="requeue", job_id="9", cause="time limit", bad_nodes=["n1", "n4"]),
    ]
    told = explained(*left, job=slurm("RUNNING")).sentence.partition("so far: ")[2]
    assert told == "chain after bad node (n1), chain after bad node (n4), requeue after time limit"


def test_a_job_that_slurm_did_not_let_continue_says_so() -> None:
    left = asked("leave", f"{REFUSED}: scontrol: Requested operation is presently disabled")
    found = explained(left, segments=[START, STOP], job=slurm("COMPLETED"))
    assert found.state is State.STOPPED and found.sentence.endswith("presently disabled")


def test_a_long_list_of_samples_does_not_fill_the_screen() -> None:
    message = f"training.non_finite_limit: loss not finite; samples: {', '.join(map(str, range(1000)))}"
    found = explained(job=slurm("FAILED"), failures=[failure(message, 2)])
    assert len(found.sentence) < 320 and "samples: 0, 1, 2" in found.sentence


def test_a_job_that_never_begins_is_not_expected_to() -> None:
    held = SlurmJob("7", "PENDING", "JobHeldUser", start="2026-11-26T14:12:00")
    assert "expects" not in explained(job=held).sentence


def test_the_disk_is_looked_at_before_it_is_said_that_nothing_was_saved() -> None:
    """A job that was killed between its last save and its last record."""
    for checkpoint, said in ((12, "at step 12 of 40, and saved"), (9, "before it could save"), (None, "before it")):
        found = explained(TOLD, job=slurm("FAILED"), checkpoint=checkpoint)
        assert found.state is State.STOPPED and said in found.sentence
