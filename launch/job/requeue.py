"""Whether a job that ended early continues, and how. The decision is pure; `requeue_or_chain` carries it out.

Slurm itself requeues a job after a node failure, and after a preemption without (or at the end of) grace time. A second
`scontrol requeue` would then fail; for a cancelled job it would be worse: the cancelled job would be requeued.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dual_hpc.errors import DualError, EnvironmentFault
from dual_hpc.run import names
from dual_hpc.run.this_job import allocated_at
from dual_hpc.training.stop_requests import end_time
from launch.cluster import client, job_facts
from launch.cluster.job_facts import JobFacts
from launch.job.notify import notify
from launch.job.slurm_job import RankFunction, submit_slurm
from launch.records import failures, submissions
from launch.records.job_output import read_job_output
from launch.records.log_markers import JOB_END_MARKER
from launch.records.srun_output import SrunOutput

# What srun returns for a rank that a signal to stop has killed.
ENDED_BY_SIGNAL = {128 + signal.SIGUSR2, 128 + signal.SIGTERM}
REQUEUED_BY_SLURM = "requeued by Slurm"
SINGLE_NODES = 3  # jobs of one node whose node was bad, after which the others count as bad
WRONG_INSTALLATION = "wrong installation"
MARGIN = 120.0  # seconds: `sbatch --signal` may come up to 60 s early
SHORTEST_PATIENCE, LONGEST_PATIENCE, END_MARGIN = 10.0, 900.0, 15.0  # seconds


@dataclass(frozen=True)
class Decision:
    """`requeue` this job, `chain` a dependent job after it, or `leave` the run as it is."""

    action: Literal["requeue", "chain", "leave"]
    cause: str


@dataclass(frozen=True)
class Policy:
    """What the decision depends on besides Slurm.

    Attributes:
        restart_count: of the deciding process; see `dual_hpc.run.this_job`.
        may_requeue: the profile allows it; otherwise a dependent job is submitted.
        signal_seconds: how long before the time limit the job is warned.
        continuations_used, continuations_allowed: those after a preemption are not counted.
        stop_asked: a user has asked the run to stop.
        bad_node: a node failed a rank's check, or lacks something; the next job avoids it.
        every_node_bad: all nodes of the job did: others would, too.
        user_error: a rank failed for a reason that only the user can remove.
        wrong_installation: what is installed fits no node.
        newest_step: the newest checkpoint now.
        last_failure_step: the newest checkpoint when the run was continued after its last failure.
    """

    restart_count: int
    may_requeue: bool
    signal_seconds: float
    continuations_used: int
    continuations_allowed: int
    stop_asked: bool = False
    bad_node: bool = False
    every_node_bad: bool = False
    user_error: bool = False
    wrong_installation: bool = False
    newest_step: int = 0
    last_failure_step: int = 0


def decide(facts: JobFacts, policy: Policy, failed: bool = False) -> Decision:
    """What a job does that was stopped and has saved, or that has failed.

    Args:
        facts: what Slurm says about this job now.
        failed: a rank or its node has failed; nothing was saved.
    """
    if policy.stop_asked:
        return Decision("leave", submissions.BY_USER)
    if policy.user_error:
        return Decision("leave", "user error")
    if policy.wrong_installation:
        return Decision("leave", WRONG_INSTALLATION)
    if facts.restarts > policy.restart_count:
        return Decision("leave", REQUEUED_BY_SLURM)
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
    if cause == "bad node" and policy.every_node_bad:
        return Decision("leave", submissions.EVERY_NODE_BAD)
    if cause == "failure" and policy.newest_step <= policy.last_failure_step:
        return Decision("leave", "failure without a new checkpoint")
    if cause != "preempted" and policy.continuations_used >= policy.continuations_allowed:
        return Decision("leave", f"{cause}, and no continuation left")
    # Slurm changes the excluded nodes of a waiting job only, and a requeue ends the process that would ask for it.
    return Decision("requeue" if policy.may_requeue and cause != "bad node" else "chain", cause)


def requeue_or_chain(
    run: Path, job_id: str, restart_count: int, rank_function: RankFunction, failed: bool = False, exit_code: int = 1
) -> Decision:
    """Decide, act, and record it in the run's submissions. Called by one process of the job.

    A Slurm that does not answer is asked again as long as the job has time. Where it refuses, that is printed and
    recorded: the checkpoint exists, and `dual-hpc resume` continues by hand.

    Args:
        rank_function: what each rank of a chained job calls with the run directory.
        failed: the job's ranks have failed; one that a signal to stop killed before it was handled does not count.
        exit_code: of srun.
    """
    # Slurm answers a requeue with TERM to this very process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
    entries = submissions.read(run)
    asked = submissions.last_request(entries)
    assert asked is not None, "a job of Slurm was submitted"
    request, profile = asked
    reported = [f for f in failures.read(run / names.LOGS, job_id) if f.restart_count == restart_count]
    root = failures.root_cause(reported)
    output = read_job_output(run, entries, job_id) if failed else SrunOutput()
    # srun's code is the highest of all tasks, those that it has ended itself included.
    failed = failed and (bool(reported) or output.failed or exit_code not in ENDED_BY_SIGNAL)
    step = newest_checkpoint(run)
    bad = sorted({*output.unfit, *(node for f in reported for node in f.bad_nodes)})
    known = {*bad, *submissions.bad_nodes(entries)}
    policy = Policy(
        restart_count=restart_count,
        may_requeue=profile.requeue,
        signal_seconds=profile.signal_seconds,
        continuations_used=submissions.continuations_used(entries),
        continuations_allowed=submissions.continuations_allowed(request),
        stop_asked=(run / names.STOP_FILE).exists(),
        bad_node=bool(bad),
        every_node_bad=every_node_bad(bad, request.nodes, entries, step),
        user_error=failed and root is not None and root.exit_code == 2,
        wrong_installation=failed and any(f.installation for f in reported),
        newest_step=step,
        last_failure_step=submissions.last_failure_step(entries),
    )
    patience = patience_of_job(os.environ, time.time())
    try:
        decision = decide(job_facts.facts(job_id, patience), policy, failed)
        avoid = sorted(known)
        entry = submissions.Entry(
            event=decision.action,
            job_id=job_id,
            cause=decision.cause,
            step=step,
            bad_nodes=avoid,
            allocated=allocated_at(),
        )
        if decision.action == "chain":
            submit_slurm(rank_function, run, request, profile, entry, [job_id], patience)
        else:
            submissions.record(run, entry)
        if decision.action == "requeue":
            requeue(job_id, restart_count, patience)
    except DualError as error:
        decision = Decision("leave", f"{submissions.REFUSED}: {error}")
        submissions.record(run, submissions.Entry(event="leave", job_id=job_id, cause=decision.cause, step=step))
    print(f"{JOB_END_MARKER}: {decision.cause}; {_CONSEQUENCE[decision.action]}", file=sys.stderr, flush=True)
    if decision.action == "leave" and decision.cause not in (REQUEUED_BY_SLURM, "cancelled"):
        state = "stopped" if decision.cause == submissions.BY_USER else "failed"
        notify(request.notify, run, state, root.message if root is not None and failed else decision.cause)
    return decision


def every_node_bad(bad: Collection[str], nodes: int, entries: Sequence[submissions.Entry], step: int) -> bool:
    """Whether all nodes of this job are bad, so that the fault is hardly theirs: other nodes would fail as well.

    A job of a single node says little about the others: there it is the third in a row, with no step saved between.

    Args:
        bad: nodes that failed a check in this job.
        nodes: of this job.
        entries: what happened before.
        step: the newest checkpoint.
    """
    if len(set(bad)) < nodes:
        return False
    return nodes > 1 or submissions.bad_nodes_in_a_row(entries, step) >= SINGLE_NODES - 1


def requeue(job_id: str, restart_count: int, patience: float) -> None:
    """Ask Slurm to requeue this job; one that it has accepted without saying so counts as well.

    Raises:
        EnvironmentFault: Slurm refused, or did not answer within `patience` seconds.
    """
    try:
        client.call(["scontrol", "requeue", job_id], patience)
    except EnvironmentFault:
        if job_facts.facts(job_id, patience).restarts <= restart_count:
            raise


def patience_of_job(environ: Mapping[str, str], now: float) -> float:
    """Seconds that a job that has saved waits for Slurm: nearly all that it has left, 15 minutes at most."""
    end = end_time(environ)
    return LONGEST_PATIENCE if end is None else min(max(end - now - END_MARGIN, SHORTEST_PATIENCE), LONGEST_PATIENCE)


def newest_checkpoint(run: Path) -> int:
    """The step of the newest committed checkpoint; 0 without one."""
    manifests = run.glob(f"{names.CHECKPOINTS}/*/{names.MANIFEST}")
    return max((step for path in manifests if (step := names.step_of(path.parent)) is not None), default=0)


_CONSEQUENCE = {
    "requeue": "it is requeued",
    "chain": "a dependent job continues the run",
    "leave": "no further job is submitted",
}
