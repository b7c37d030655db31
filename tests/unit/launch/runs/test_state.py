"""The word for a run's state, and that a command's task has the same one for the same word of Slurm."""

from __future__ import annotations

import pytest

from dual_hpc.run.directory import Segment
from launch.cluster.job_record import SlurmJob
from launch.cluster.state import SLURM, State
from launch.commands.job_dir import TaskEvent
from launch.commands.status import task_state
from launch.records.submissions import Entry
from launch.runs.state import RunRecords, run_state

START = Segment(event="start", job_id="7")
STOP = Segment(event="end", job_id="7", reason="stopped")


def state(segments: list[Segment], slurm: SlurmJob | None, job_id: str = "7", silent: float = 0.0) -> State:
    return run_state(RunRecords(segments, [Entry(event="submit", job_id=job_id)], silent_seconds=silent), slurm)


@pytest.mark.parametrize("steps", [(), ("OUT_OF_MEMORY",)])
@pytest.mark.parametrize("began", [False, True])
@pytest.mark.parametrize("word", [*SLURM, "ON_FIRE"])
def test_a_run_and_a_command_have_the_same_state_for_every_word_of_slurm(
    word: str, began: bool, steps: tuple[str, ...]
) -> None:
    job = SlurmJob("7", word, steps=steps)
    run = state([START] if began else [], job)
    task = task_state(TaskEvent(task=0, event="start") if began else None, job, True)
    assert run is task
    # A job that Slurm calls completed and that has not written how it ended has not done its work.
    assert run is (State.FAILED if word == "COMPLETED" else job.as_state())


@pytest.mark.parametrize("known", [False, True])
def test_a_job_that_slurm_does_not_know_is_lost_whatever_it_worked_on(known: bool) -> None:
    records = RunRecords([], [Entry(event="submit", job_id="7")])
    assert run_state(records, None, slurm_answers=known) is task_state(None, None, known)


@pytest.mark.parametrize(
    ("segments", "job", "word"),
    [
        ([], None, "submitted"),
        ([], SlurmJob("7", "PENDING"), "queued"),
        ([START], SlurmJob("7", "RUNNING"), "running"),
        ([START, STOP], SlurmJob("8", "CANCELLED"), "cancelled"),
        ([START, Segment(event="end", job_id="7", reason="finished")], SlurmJob("7", "CANCELLED"), "finished"),
        ([START, STOP], SlurmJob("7", "FAILED"), "failed"),
        ([START, STOP], SlurmJob("7", "NODE_FAIL"), "node failure"),
        ([START, STOP], SlurmJob("7", "REQUEUE_HOLD"), "queued"),
        ([START], SlurmJob("7", "TIMEOUT"), "out of time"),
        ([START], None, "running"),
        ([START, Segment(event="end", job_id="7", reason="finished")], SlurmJob("7", "RUNNING"), "finished"),
        ([START, STOP], SlurmJob("7", "PENDING"), "queued"),
        ([START, STOP], SlurmJob("7", "COMPLETED"), "stopped"),
        ([START, Segment(event="end", job_id="7", reason="failed")], SlurmJob("7", "FAILED"), "failed"),
        ([START, Segment(event="end", job_id="7", reason="failed")], None, "failed"),
        ([START, Segment(event="end", job_id="7", reason="a reason of tomorrow")], None, "failed"),
    ],
)
def test_what_the_run_wrote_and_slurms_word_make_one_state(
    segments: list[Segment], job: SlurmJob | None, word: str
) -> None:
    assert state(segments, job) == word


def test_how_an_earlier_job_ended_is_not_how_this_one_did() -> None:
    assert state([START, STOP], None, "7") is State.STOPPED
    assert state([START, STOP], None, "8") is State.SUBMITTED


def test_a_run_that_no_job_was_asked_for_is_not_submitted() -> None:
    assert run_state(RunRecords(), None) is State.NOT_SUBMITTED
    assert run_state(RunRecords([START]), None) is State.RUNNING, "started by hand"


def test_a_run_that_writes_nothing_for_long_is_not_called_running() -> None:
    assert state([START], None, silent=1e4) is State.SILENT
    records = RunRecords([START], [Entry(event="submit", job_id="7")], silent_seconds=1e4)
    assert run_state(records, None, local_alive=True) is State.RUNNING
