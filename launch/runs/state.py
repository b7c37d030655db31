"""The state of a run: what its own files say, joined with Slurm's word for its newest job. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dual_hpc.run.directory import PROLONGED, Segment
from launch.cluster.job_record import SlurmJob
from launch.cluster.state import State
from launch.records import failures, submissions
from launch.records.failures import Failure

SILENT_SECONDS = 600.0
_GPU_MEMORY = re.compile(r"OutOfMemoryError|CU(DA|BLAS|DNN|SOLVER).*(out of memory|ALLOC_FAILED)|NCCL.*out of memory")
_OWN_ENDS = {
    "finished": State.FINISHED,
    "stopped": State.STOPPED,
    "failed": State.FAILED,
    PROLONGED: State.STOPPED,
}


@dataclass(frozen=True)
class RunRecords:
    """What a run's files say.

    Attributes:
        history: what was asked of it, and what its jobs did to be continued.
        failures: of its newest job's ranks, since they started last.
        silent_seconds: since it made progress last.
    """

    segments: Sequence[Segment] = ()
    history: Sequence[submissions.Entry] = ()
    failures: Sequence[Failure] = ()
    silent_seconds: float = 0.0

    @property
    def job_id(self) -> str | None:
        return submissions.last_job(list(self.history))

    @property
    def own_end(self) -> State | None:
        """How the newest job ended, as the run itself wrote it; None where it wrote nothing."""
        last = self.segments[-1] if self.segments else None
        if last is None or last.event != "end" or self.job_id not in (None, last.job_id):
            return None
        return _OWN_ENDS.get(last.reason or "", State.FAILED)


def run_state(
    records: RunRecords,
    slurm: SlurmJob | None = None,
    *,
    local_alive: bool = False,
    local_dead: bool = False,
    slurm_answers: bool = False,
) -> State:
    """One word for the state of a run.

    Args:
        slurm: the newest job as Slurm knows it; None for a local one, or where Slurm does not know it.
        local_alive: processes on this machine work on the run.
        local_dead: they did, and do not any more.
        slurm_answers: Slurm was asked for the newest job; then what it does not know is lost.
    """
    last = records.segments[-1] if records.segments else None
    if last is not None and last.reason == State.FINISHED:
        return State.FINISHED
    if slurm is not None and slurm.active:
        return slurm.as_state()
    if local_alive:
        return State.RUNNING
    return _ended(records, slurm) or (State.FAILED if local_dead else _untold(records, slurm_answers))


def _ended(records: RunRecords, slurm: SlurmJob | None) -> State | None:
    """How a run ended that no job works on; None where nobody says.

    What its user asked for comes first, then the reason that a rank or Slurm gives, then what the run wrote last.
    """
    history, own = list(records.history), records.own_end
    last = history[-1] if history else None
    cause = failures.root_cause(records.failures)
    job = slurm.as_state() if slurm is not None else None
    by_user = last is not None and (last.event == "stop" or last.cause == submissions.BY_USER)
    if submissions.is_cancelled(history):
        return State.CANCELLED
    if last is not None and last.event == "stop" and last.cause == submissions.QUEUED:
        return State.STOPPED
    if by_user and (own is State.STOPPED or job is State.FINISHED):
        return State.STOPPED
    if cause is not None and cause.exit_code == 2:
        return State.USER_ERROR
    if job is State.OUT_OF_MEMORY or (cause is not None and is_out_of_memory(cause)):
        return State.OUT_OF_MEMORY
    if job not in (None, State.FINISHED, State.FAILED):
        return job
    if last is not None and (last.cause or "").startswith("time limit"):
        return State.OUT_OF_TIME
    if cause is None and last is not None and last.cause == submissions.BY_USER:
        return State.STOPPED  # before it could save
    if job is State.FINISHED and own is not None:
        return own
    if job is not None:  # also a job that Slurm calls completed, of which the run knows nothing
        return State.FAILED
    return State.FAILED if cause is not None and own is None else own


def _untold(records: RunRecords, slurm_answers: bool) -> State:
    """The state of a run whose newest job is known to nobody, and that has not written that it ended."""
    if records.job_id is not None and slurm_answers:
        return State.LOST
    last = records.segments[-1] if records.segments else None
    if last is None or records.job_id not in (None, last.job_id):
        return State.NOT_SUBMITTED if records.job_id is None else State.SUBMITTED
    return State.RUNNING if records.silent_seconds < SILENT_SECONDS else State.SILENT


def is_out_of_memory(failure: Failure) -> bool:
    """True if a rank says that it found no memory, on its GPU or its node."""
    found = any(words in failure.message for words in ("OutOfMemory", "MemoryError", "out of memory"))
    return found or is_gpu_out_of_memory(failure)


def is_gpu_out_of_memory(failure: Failure) -> bool:
    """True if it was the memory of the GPU: more of the node's would not help."""
    return _GPU_MEMORY.search(failure.message) is not None
