"""Where a run stands: its own records joined with what the scheduler says about its job."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.errors import EnvironmentFault
from dual_hpc.locks import LocksUnsupported, try_lock
from dual_hpc.run.directory import RunDir, Segment
from launch.cluster.slurm import ACTIVE, Scheduler, SlurmJob, available
from launch.job.local_job import LOCK
from launch.records import submissions

FINISHED = "finished"
SILENT_SECONDS = 600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunStatus:
    """One run and its newest job.

    Attributes:
        state: submitted, queued, running, finished, stopped, failed, cancelled, silent, gone ...
        job_id: the newest job; None if the run was never submitted through a scheduler.
        slurm: what Slurm says of that job; None for a local one, or where Slurm has forgotten it.
        local: the newest job is (or was) processes of one machine.
        active: a job waits for, or works on, the run.
    """

    state: str
    job_id: str | None
    slurm: SlurmJob | None
    local: bool
    active: bool


def run_statuses(runs: list[RunDir], scheduler: Scheduler, now: float, tolerant: bool = False) -> list[RunStatus]:
    """Where each run stands; Slurm is asked once for all of them.

    Args:
        tolerant: where Slurm does not answer, warn and go by the runs' own records.

    Raises:
        EnvironmentFault: Slurm does not answer, and that is not tolerated.
    """
    told = [submissions.read(run.path) for run in runs]
    asked = [job for entries in told if (job := slurm_job(entries)) is not None]
    answers = available()
    known: dict[str, SlurmJob] = {}
    if asked and answers:
        try:
            known = scheduler.jobs(asked)
        except EnvironmentFault as error:
            if not tolerant:
                raise
            log.warning("Slurm does not answer; the states are those the runs wrote themselves (%s)", str(error)[:120])
            answers = False
    return [_run_status(run, entries, known, now, answers) for run, entries in zip(runs, told, strict=True)]


def is_local(entries: list[submissions.Entry]) -> bool:
    """True if the newest request was for processes on one machine."""
    asked = submissions.last_request(entries)
    return asked is not None and asked[1].executor == "local"


def slurm_job(entries: list[submissions.Entry]) -> str | None:
    """The newest job, where it is one of Slurm."""
    return None if is_local(entries) else submissions.last_job(entries)


def controller_lives(run: RunDir) -> bool:
    """True if a local job works on the run: its controller holds the lock, on this machine.

    The lock is asked for as a reader: a store may be another user's, and several may look at once.
    """
    try:
        file = os.open(run.logs / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(file, run.logs / LOCK, shared=True)
    except LocksUnsupported:  # so no controller can hold it
        return False
    finally:
        os.close(file)


def _run_status(
    run: RunDir, entries: list[submissions.Entry], known: dict[str, SlurmJob], now: float, answers: bool
) -> RunStatus:
    local, job_id = is_local(entries), submissions.last_job(entries)
    slurm = None if local else known.get(job_id or "")
    active = controller_lives(run) if local else slurm is not None and slurm.active
    state = state_of(run.segments(), seconds_since_update(run, now), slurm, local_lives=local and active, job_id=job_id)
    if state != FINISHED and not active and submissions.is_cancelled(entries):
        state = "cancelled"
    elif state in ("submitted", "running") and slurm is None and job_id is not None and not local and answers:
        state = "gone"
    return RunStatus(state, job_id, slurm, local, active)


def seconds_since_update(run: RunDir, now: float) -> float:
    """Seconds since the run was last heard of."""
    touched: Path = run.journal if run.journal.exists() else run.identity_file
    return max(0.0, now - touched.stat().st_mtime)


def state_of(
    segments: list[Segment],
    silent_seconds: float,
    slurm: SlurmJob | None = None,
    local_lives: bool = False,
    job_id: str | None = None,
) -> str:
    """One word for the state; of a job that has ended well, what the run itself says of its end.

    Args:
        job_id: the newest job, of which earlier segments say nothing.
    """
    last = segments[-1] if segments else None
    if last is not None and last.reason == FINISHED:
        return FINISHED
    if slurm is not None and slurm.active:
        return ACTIVE[slurm.state]
    if slurm is not None and (last is None or last.event == "start" or slurm.state != "COMPLETED"):
        return {"CANCELLED": "cancelled", "PREEMPTED": "preempted", "TIMEOUT": "out of time"}.get(slurm.state, "failed")
    if local_lives:
        return "running"
    if last is None or job_id not in (None, last.job_id):
        return "submitted"
    if last.event == "end":
        return last.reason or "ended"
    return "running" if silent_seconds < SILENT_SECONDS else "silent"
