"""May a job that was stopped go on, and how? The decision is pure; `go_on` carries it out on rank 0.

Slurm itself starts a job again after a node failure and after a preemption without (or at the end of) grace time. Then
`scontrol requeue` would fail, and for a cancelled job it would be worse: the job would rise again.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dual_hpc.errors import DualError
from launch import history, scheduler
from launch.scheduler import JobFacts

MARGIN = 120.0  # seconds by which `sbatch --signal` may come early (60), and some


@dataclass(frozen=True)
class Decision:
    """`requeue` this job, `chain` another one behind it, or `leave` the run as it is."""

    action: Literal["requeue", "chain", "leave"]
    cause: str


def decide(
    facts: JobFacts,
    *,
    incarnation: int,
    may_requeue: bool,
    signal_seconds: float,
    spent: int,
    budget: int,
    stop_asked: bool,
) -> Decision:
    """The table of what a stopped job should do.

    Args:
        facts: what Slurm says about this job now, after everything is saved.
        incarnation: SLURM_RESTART_COUNT of this process.
        may_requeue: the profile's word; a dependent job is submitted where not.
        spent, budget: continuations for want of time, so far and at most.
        stop_asked: a user wants the run to stop.
    """
    if stop_asked:
        return Decision("leave", "stopped by the user")
    if facts.restarts > incarnation:
        return Decision("leave", "requeued by Slurm")
    if facts.state == "COMPLETING":
        if facts.reason != "TimeLimit":
            return Decision("leave", "cancelled")
        cause = "time limit"
    elif facts.state == "RUNNING":
        near = facts.seconds_left is not None and facts.seconds_left <= signal_seconds + MARGIN
        cause = "preempted" if facts.preempted else "time limit" if near else "signal"
    else:
        return Decision("leave", f"{(facts.state or 'unknown to Slurm').lower()}")
    if cause == "time limit" and spent >= budget:
        return Decision("leave", "time limit, and no continuation left")
    return Decision("requeue" if may_requeue else "chain", cause)


def go_on(run: Path, job_id: str, incarnation: int) -> Decision:
    """Decide, act, and write it into the run's history. Called once, by rank 0, when everything is saved.

    A failure is said and recorded: the checkpoint stands, and `dual-hpc resume` does by hand what failed here.
    """
    # Slurm answers a requeue with TERM to this very process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
    entries = history.read(run)
    asked = history.last_request(entries)
    assert asked is not None, "a job of Slurm was submitted"
    request, profile = asked
    try:
        decision = decide(
            scheduler.facts(job_id),
            incarnation=incarnation,
            may_requeue=profile.requeue,
            signal_seconds=profile.signal_seconds,
            spent=history.spent(entries),
            budget=history.budget(request),
            stop_asked=(run / history.STOP).exists(),
        )
        if decision.action == "chain":
            from launch.submission import submit_slurm

            submit_slurm(run, request, profile, event="chain", cause=decision.cause, after=job_id)
        else:
            history.record(run, history.Entry(event=decision.action, job_id=job_id, cause=decision.cause))
        if decision.action == "requeue":
            scheduler.command(["scontrol", "requeue", job_id])
    except DualError as error:
        decision = Decision("leave", f"could not go on: {error}")
        history.record(run, history.Entry(event="leave", job_id=job_id, cause=decision.cause))
    print(f"this job ends here: {decision.cause}; {_WORDS[decision.action]}", file=sys.stderr, flush=True)
    return decision


_WORDS = {
    "requeue": "it goes back into the queue",
    "chain": "another job takes over",
    "leave": "nothing more is submitted for it",
}
