"""`submissions.jsonl` in the run directory: every job submitted, by whom and why, and how jobs continued themselves.

A job that continues itself reads its request and profile here (they may come from a command line), and every other
command the id of the run's job.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.run import jsonl, names
from launch.cluster.profiles import Profile

QUEUED = "in the queue"  # cause of a stop: the job had not started
CTRL_C = "Ctrl-C"  # cause of a stop: the command that follows a local job was interrupted
EVERY_NODE_BAD = "every node fails its checks"  # why a job does not continue
REFUSED = "could not continue"  # how the cause of a job begins that Slurm did not let continue itself
BY_USER = "stopped by the user"  # why a stopped job does not continue itself


class Entry(BaseModel):
    """One line; keys that newer code has added are ignored.

    Attributes:
        event: "submit" by a user; "requeue" and "chain" by a job that continues itself (chain: a new job id);
            "leave" by a job that does not continue; "stop" and "cancel" by a user.
        job_id: as the scheduler knows it (an array's member is "123_4"); a local job's is its controller's pid.
        cause: why a job continues itself or does not; of a stop, QUEUED or CTRL_C.
        step: the newest checkpoint at that moment; 0 without one.
        bad_nodes: those that the job, or of a job that leaves the next one, must avoid.
        allocated: when the job that writes this was given its nodes, Unix seconds, where Slurm says it.
        logs: the folder with Slurm's logs of the job, where it is not that of the run.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    event: Literal["submit", "requeue", "chain", "leave", "stop", "cancel"]
    job_id: str
    time: float = Field(default_factory=time.time)
    cause: str | None = None
    step: int = 0
    bad_nodes: list[str] = Field(default_factory=list)
    allocated: float | None = None
    logs: str | None = None
    request: LaunchConfig | None = None
    profile: Profile | None = None

    @field_validator("request", "profile", mode="before")
    @classmethod
    def _known(cls, value: object, info: ValidationInfo) -> object:
        # In a configuration an unknown setting is a mistake; here it was written by a newer version.
        model = LaunchConfig if info.field_name == "request" else Profile
        return {k: v for k, v in value.items() if k in model.model_fields} if isinstance(value, dict) else value


def record(run: Path, entry: Entry) -> None:
    """Append one entry to the run's submissions."""
    jsonl.append(run / names.SUBMISSIONS, entry)


def read(run: Path) -> list[Entry]:
    """The run's submissions and what followed, oldest first."""
    return jsonl.read(run / names.SUBMISSIONS, Entry)


def since_submit(entries: Sequence[Entry]) -> Sequence[Entry]:
    """What happened since the user submitted the run last."""
    begin = max((number for number, entry in enumerate(entries) if entry.event == "submit"), default=0)
    return entries[begin:]


def last_request(entries: list[Entry]) -> tuple[LaunchConfig, Profile] | None:
    """The newest request, and its cluster."""
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


def continuations_used(entries: list[Entry]) -> int:
    """Continuations since the user's last submission, those after a preemption left out."""
    count = 0
    for entry in entries:
        if entry.event == "submit":
            count = 0
        elif entry.event in ("requeue", "chain") and entry.cause != "preempted":
            count += 1
    return count


def bad_nodes_in_a_row(entries: Sequence[Entry], step: int) -> int:
    """How often the run was continued because of a bad node, up to now, since it saved this step."""
    count = 0
    for entry in reversed(since_submit(entries)):
        if entry.event in ("requeue", "chain"):
            if entry.cause != "bad node" or entry.step != step:
                break
            count += 1
    return count


def last_failure_step(entries: list[Entry]) -> int:
    """The newest checkpoint when the run was last continued after a failure; 0 if it was not, since its submission.

    A failure that repeats before the next checkpoint would repeat for ever.
    """
    for entry in reversed(entries):
        if entry.event == "submit":
            return 0
        if entry.event in ("requeue", "chain") and entry.cause == "failure":
            return entry.step
    return 0


def stop_asked(entries: list[Entry]) -> float | None:
    """When the user asked the newest job to stop, Unix seconds; None if they did not."""
    for entry in reversed(entries):
        if entry.event in ("submit", "requeue", "chain"):
            return None
        if entry.event == "stop":
            return entry.time
    return None


def is_cancelled(entries: list[Entry]) -> bool:
    """True if the user's last command was `cancel`."""
    commands = [entry.event for entry in entries if entry.event in ("submit", "stop", "cancel")]
    return commands[-1:] == ["cancel"]


def bad_nodes(entries: list[Entry]) -> list[str]:
    """The nodes that were not fit since the user's last submission, and those that it avoided itself."""
    found: list[str] = []
    for entry in entries:
        found = [*([] if entry.event == "submit" else found), *entry.bad_nodes]
    return sorted(set(found))


def continuations_allowed(request: LaunchConfig) -> int:
    """How often a run is continued at its time limit: as often as all its jobs together have `total_hours`."""
    if request.total_hours is None:
        return request.max_continuations
    return max(0, math.ceil(request.total_hours / request.hours) - 1)
