"""The states of a job, whatever it works on, and the one table from Slurm's words to them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class State(StrEnum):
    """What `runs`, `status` and `why` call the state of a run, of a command's job, of its tasks, and of a sweep."""

    # Nothing has begun.
    NOT_SUBMITTED = "not submitted"
    SUBMITTED = "submitted"  # and nothing more is known
    QUEUED = "queued"
    # A job works on it.
    RUNNING = "running"
    SUSPENDED = "suspended"
    ENDING = "ending"
    # It has ended, well or as its user wanted it.
    FINISHED = "finished"
    STOPPED = "stopped"  # after saving a checkpoint; or before it began
    CANCELLED = "cancelled"
    # It has ended otherwise.
    FAILED = "failed"
    USER_ERROR = "user error"  # exit code 2: a setting, an argument or the data must change
    OUT_OF_MEMORY = "out of memory"
    OUT_OF_TIME = "out of time"
    NODE_FAILURE = "node failure"
    PREEMPTED = "preempted"
    # Nobody says how it ended, or whether it has.
    SILENT = "silent"  # a job that is known to nobody has written nothing for long
    LOST = "lost"  # Slurm does not know its job (any more)
    MISSING = "missing"  # its folder is gone
    UNREADABLE = "unreadable"  # its files are damaged, or nobody may read them
    UNKNOWN = "unknown"  # Slurm uses a word that is not in the table

    def __format__(self, form: str) -> str:
        return format(self.value, form)


ACTIVE = frozenset({State.QUEUED, State.RUNNING, State.SUSPENDED, State.ENDING})

# `man squeue`, JOB STATE CODES, and the words that sacct and scontrol have besides.
SLURM = {
    "PENDING": State.QUEUED,
    "CONFIGURING": State.QUEUED,
    "EXPEDITING": State.QUEUED,
    "POWER_UP_NODE": State.QUEUED,
    "REQUEUED": State.QUEUED,
    "REQUEUE_FED": State.QUEUED,
    "REQUEUE_HOLD": State.QUEUED,
    "RESV_DEL_HOLD": State.QUEUED,
    "SPECIAL_EXIT": State.QUEUED,
    "RUNNING": State.RUNNING,
    "RESIZING": State.RUNNING,
    "SIGNALING": State.RUNNING,
    "SUSPENDED": State.SUSPENDED,
    "STOPPED": State.SUSPENDED,
    "COMPLETING": State.ENDING,
    "STAGE_OUT": State.ENDING,
    "UPDATE_DB": State.ENDING,
    "COMPLETED": State.FINISHED,
    "CANCELLED": State.CANCELLED,
    "REVOKED": State.CANCELLED,
    "FAILED": State.FAILED,
    "LAUNCH_FAILED": State.FAILED,
    "OUT_OF_MEMORY": State.OUT_OF_MEMORY,
    "TIMEOUT": State.OUT_OF_TIME,
    "DEADLINE": State.OUT_OF_TIME,
    "NODE_FAIL": State.NODE_FAILURE,
    "BOOT_FAIL": State.NODE_FAILURE,
    "RECONFIG_FAIL": State.NODE_FAILURE,
    "PREEMPTED": State.PREEMPTED,
}

# Of several states, the first of these says most about the whole.
_PRECEDENCE = (
    State.USER_ERROR,
    State.OUT_OF_MEMORY,
    State.NODE_FAILURE,
    State.OUT_OF_TIME,
    State.FAILED,
    State.PREEMPTED,
    State.LOST,
    State.SILENT,
    State.UNKNOWN,
    State.UNREADABLE,
    State.MISSING,
    State.CANCELLED,
    State.STOPPED,
    State.RUNNING,
    State.SUSPENDED,
    State.ENDING,
    State.QUEUED,
    State.SUBMITTED,
    State.NOT_SUBMITTED,
    State.FINISHED,
)


def from_slurm(word: str, steps: Sequence[str] = ()) -> State:
    """The state of a job.

    Args:
        word: as squeue or sacct spells it.
        steps: sacct's words for the job's steps: a process that was killed for memory makes the job itself "FAILED".
    """
    state = SLURM.get(word, State.UNKNOWN)
    return State.OUT_OF_MEMORY if state is State.FAILED and "OUT_OF_MEMORY" in steps else state


def most_important(states: Sequence[State]) -> int:
    """Which of several states says most about the whole: one that went wrong, else one that runs, else one that waits.

    Raises:
        ValueError: there are none.
    """
    return min(range(len(states)), key=lambda number: _PRECEDENCE.index(states[number]))
