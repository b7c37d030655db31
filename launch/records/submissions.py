"""`submissions.jsonl` in the run directory: every job asked for, by whom and why, and what a job did to be continued.

It tells a job that must continue what was asked for (the request and the profile may have come from a command line
that is long gone), and a watcher which job of the scheduler is the run's.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.run import jsonl, names
from launch.cluster.profiles import Profile

QUEUED = "in the queue"  # where a stop met the job
CTRL_C = "Ctrl-C"  # how a watcher was asked to stop a local job
BY_USER = "stopped by the user"  # why a job that was told to stop does not go on


class Entry(BaseModel):
    """One line; what newer code has added to it is passed over.

    Attributes:
        event: "submit" by a user; "requeue" and "chain" by a job that continues itself (chain: a new job id);
            "leave" by a job that was stopped and does not; "stop" and "cancel" by a user.
        job_id: as the scheduler knows it (an array's member is "123_4"); a local job's is its controller's pid.
        cause: why a job continues itself or does not; of a stop, that it met the job in the queue, or was Ctrl-C.
        step: the newest checkpoint at that moment; 0 without one.
        bad_nodes: those that a continuation must avoid.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    event: Literal["submit", "requeue", "chain", "leave", "stop", "cancel"]
    job_id: str
    time: float = Field(default_factory=time.time)
    cause: str | None = None
    step: int = 0
    bad_nodes: list[str] = Field(default_factory=list)
    request: LaunchConfig | None = None
    profile: Profile | None = None

    @field_validator("request", "profile", mode="before")
    @classmethod
    def _known(cls, value: object, info: ValidationInfo) -> object:
        # A command reads a setting that it does not know as a mistake; a job reads what a newer command wrote.
        model = LaunchConfig if info.field_name == "request" else Profile
        return {k: v for k, v in value.items() if k in model.model_fields} if isinstance(value, dict) else value


def record(run: Path, entry: Entry) -> None:
    """Append one entry to the run's history."""
    jsonl.append(run / names.SUBMISSIONS, entry)


def read(run: Path) -> list[Entry]:
    """The run's history, oldest first."""
    return jsonl.read(run / names.SUBMISSIONS, Entry)


def last_request(entries: list[Entry]) -> tuple[LaunchConfig, Profile] | None:
    """What was asked for last, and on which cluster."""
    for entry in reversed(entries):
        if entry.request is not None and entry.profile is not None:
            return entry.request, entry.profile
    return None


def last_job(entries: list[Entry]) -> str | None:
    """The id of the newest job."""
    return next((entry.job_id for entry in reversed(entries) if entry.event in ("submit", "chain")), None)


def jobs(entries: list[Entry]) -> list[str]:
    """The ids of all jobs, oldest first."""
    return list(dict.fromkeys(entry.job_id for entry in entries if entry.event in ("submit", "chain")))


def spent(entries: list[Entry]) -> int:
    """Continuations since a user asked last, those after a preemption left out: what a budget bounds."""
    count = 0
    for entry in entries:
        if entry.event == "submit":
            count = 0
        elif entry.event in ("requeue", "chain") and entry.cause != "preempted":
            count += 1
    return count


def failed_at(entries: list[Entry]) -> int:
    """The checkpoint from which the last continuation after a failure went on; 0 if there was none since a user asked.

    A failure that comes back before the next checkpoint would come back for ever.
    """
    for entry in reversed(entries):
        if entry.event == "submit":
            return 0
        if entry.event in ("requeue", "chain") and entry.cause == "failure":
            return entry.step
    return 0


def is_cancelled(entries: list[Entry]) -> bool:
    """True if a user's last word was `cancel`."""
    words = [entry.event for entry in entries if entry.event in ("submit", "stop", "cancel")]
    return words[-1:] == ["cancel"]


def bad_nodes(entries: list[Entry]) -> list[str]:
    """The nodes that were found to be bad since a user asked last."""
    found: list[str] = []
    for entry in entries:
        found = [] if entry.event == "submit" else [*found, *entry.bad_nodes]
    return sorted(set(found))


def budget(request: LaunchConfig) -> int:
    """How often a run may be continued when its time is up: so often that all its jobs have `total_hours`."""
    if request.total_hours is None:
        return request.max_continuations
    return max(0, math.ceil(request.total_hours / request.hours) - 1)
