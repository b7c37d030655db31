"""May a job that ended early go on, and how? The decision is pure; `go_on` carries it out.

Slurm itself starts a job again after a node failure and after a preemption without (or at the end of) grace time. Then
`scontrol requeue` would fail, and for a cancelled job it would be worse: the job would rise again.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dual_hpc.errors import DualError
from dual_hpc.run import names
from launch.cluster import slurm
from launch.cluster.slurm import JobFacts
from launch.job.slurm_job import Work, submit_slurm
from launch.records import failures, submissions
from launch.records.log_markers import JOB_END_MARKER

# What srun returns for a rank that died of a wish to stop.
ENDED_BY_SIGNAL = {128 + signal.SIGUSR2, 128 + signal.SIGTERM}
MARGIN = 120.0  # seconds by which `sbatch --signal` may come early (60), and some


@dataclass(frozen=True)
class Decision:
    """`requeue` this job, `chain` another one behind it, or `leave` the run as it is."""

    action: Literal["requeue", "chain", "leave"]
    cause: str


@dataclass(frozen=True)
class Policy:
    """What the decision depends on besides Slurm.

    Attributes:
        incarnation: SLURM_RESTART_COUNT of the deciding process.
        may_requeue: the profile's word; a dependent job is submitted where not.
        signal_seconds: how long before the time limit the job is warned.
        spent, budget: continuations so far (preemptions left out) and at most.
        stop_asked: a user wants the run to stop.
        bad_node: a rank found a node unfit; another job avoids it.
        user_error: a rank failed for a reason that only the user can remove.
        progress, failed_at: the newest checkpoint now, and at the continuation after the last failure.
    """

    incarnation: int
    may_requeue: bool
    signal_seconds: float
    spent: int
    budget: int
    stop_asked: bool = False
    bad_node: bool = False
    user_error: bool = False
    progress: int = 0
    failed_at: int = 0


def decide(facts: JobFacts, policy: Policy, failed: bool = False) -> Decision:
    """The table of what a job should do that was stopped and has saved, or has failed.

    Args:
        facts: what Slurm says about this job now.
        failed: a rank, or its node, broke down; nothing was saved.
    """
    if policy.stop_asked:
        return Decision("leave", submissions.BY_USER)
    if policy.user_error:
        return Decision("leave", "user error")
    if facts.restarts > policy.incarnation:
        return Decision("leave", "requeued by Slurm")
    if facts.state == "COMPLETING":
        if facts.reason != "TimeLimit":
            return Decision("leave", "cancelled")
        cause = "time limit"
    elif facts.state == "RUNNING":
        near = facts.seconds_left is not None and facts.seconds_left <= policy.signal_seconds + MARGIN
        broken = "bad node" if policy.bad_node else "failure"
        cause = "preempted" if facts.preempted else broken if failed else "time limit" if near else "signal"
    else:
        return Decision("leave", facts.state.lower() or "unknown to Slurm")
    if cause == "failure" and policy.progress <= policy.failed_at:
        return Decision("leave", "failure without a new checkpoint")
    if cause != "preempted" and policy.spent >= policy.budget:
        return Decision("leave", f"{cause}, and no continuation left")
    # Slurm changes the nodes to avoid of a waiting job only, and a requeue ends whoever would tell it.
    return Decision("requeue" if policy.may_requeue and cause != "bad node" else "chain", cause)


def incarnation() -> int:
    """How often Slurm has started this job before."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0)


def go_on(run: Path, job_id: str, incarnation: int, work: Work, failed: bool = False, exit_code: int = 1) -> Decision:
    """Decide, act, and write it into the run's history. Called by one process of the job.

    A chained job does `work`. A rank that was ended by a wish to stop before it could hear it has not failed.
    That this does not work is said and recorded: the checkpoint stands, and `dual-hpc resume` does it by hand.
    """
    # Slurm answers a requeue with TERM to this very process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
    entries = submissions.read(run)
    asked = submissions.last_request(entries)
    assert asked is not None, "a job of Slurm was submitted"
    request, profile = asked
    told = [f for f in failures.read(run / "logs", job_id) if f.incarnation == incarnation]
    root = failures.root_cause(told)
    failed = failed and (bool(told) or exit_code not in ENDED_BY_SIGNAL)
    step = newest_checkpoint(run)
    bad = sorted({node for f in told for node in f.bad_nodes})
    policy = Policy(
        incarnation=incarnation,
        may_requeue=profile.requeue,
        signal_seconds=profile.signal_seconds,
        spent=submissions.spent(entries),
        budget=submissions.budget(request),
        stop_asked=(run / names.STOP_FILE).exists(),
        bad_node=bool(bad),
        user_error=failed and root is not None and root.exit_code == 2,
        progress=step,
        failed_at=submissions.failed_at(entries),
    )
    try:
        decision = decide(slurm.facts(job_id), policy, failed)
        avoid = sorted({*bad, *submissions.bad_nodes(entries)})
        entry = submissions.Entry(
            event=decision.action, job_id=job_id, cause=decision.cause, step=step, bad_nodes=avoid
        )
        if decision.action == "chain":
            submit_slurm(work, run, request, profile, entry, after=job_id)
        else:
            submissions.record(run, entry)
        if decision.action == "requeue":
            slurm.command(["scontrol", "requeue", job_id])
    except DualError as error:
        decision = Decision("leave", f"could not go on: {error}")
        submissions.record(run, submissions.Entry(event="leave", job_id=job_id, cause=decision.cause, step=step))
    print(f"{JOB_END_MARKER}: {decision.cause}; {_WORDS[decision.action]}", file=sys.stderr, flush=True)
    return decision


def newest_checkpoint(run: Path) -> int:
    """The step of the newest committed checkpoint; 0 without one."""
    manifests = run.glob(f"{names.CHECKPOINTS}/*/{names.MANIFEST}")
    return max((step for path in manifests if (step := names.step_of(path.parent)) is not None), default=0)


_WORDS = {
    "requeue": "it goes back into the queue",
    "chain": "another job takes over",
    "leave": "nothing more is submitted for it",
}
