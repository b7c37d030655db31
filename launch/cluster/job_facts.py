"""What Slurm says about the job that asks."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from launch.cluster.accounting import seconds_of
from launch.cluster.client import call


@dataclass(frozen=True)
class JobFacts:
    """What `scontrol show job` says of the job that asks; see `launch.job.requeue`.

    Attributes:
        restarts: how often Slurm has started it again, this time included.
        preempted: Slurm has set a time at which it takes the nodes away.
        seconds_left: to the time limit; None if there is none.
    """

    state: str
    restarts: int
    reason: str
    preempted: bool
    seconds_left: float | None


def facts(job_id: str, patience: float) -> JobFacts:
    """Ask Slurm about the job that runs this process.

    Raises:
        EnvironmentFault: it does not answer within `patience` seconds, or does not know the job.
    """
    return parse_facts(call(["scontrol", "--oneliner", "show", "job", job_id], patience), time.time())


def parse_facts(text: str, now: float) -> JobFacts:
    """`scontrol --oneliner show job`; of an array's member its own line, which is the first of the answer's."""
    line = next((line for line in text.splitlines() if line.startswith("JobId=")), "")
    values = dict(re.findall(r"(\w+)=(\S*)", line))
    end = seconds_of(values.get("EndTime", ""))
    return JobFacts(
        state=values.get("JobState", ""),
        restarts=int(values.get("Restarts") or 0),
        reason=values.get("Reason", ""),
        preempted=values.get("PreemptTime", "None") not in ("None", "Unknown", ""),
        seconds_left=end - now if end is not None else None,
    )
