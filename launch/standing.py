"""Where a run stands: its own records joined with what the scheduler says about its job."""

from __future__ import annotations

import fcntl
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.errors import EnvironmentFault
from dual_hpc.tracking.run_dir import RunDir, Segment
from launch import history
from launch.local import LOCK
from launch.scheduler import Scheduler, SlurmJob, available

FINISHED = "finished"
SILENT_SECONDS = 600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
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


def standings(runs: list[RunDir], scheduler: Scheduler, now: float, tolerant: bool = False) -> list[Standing]:
    """Where each run stands; Slurm is asked once for all of them.

    Args:
        tolerant: where Slurm does not answer, warn and go by the runs' own records.

    Raises:
        EnvironmentFault: Slurm does not answer, and that is not tolerated.
    """
    newest = [history.last_job(entries) for entries in (history.read(run.path) for run in runs)]
    asked = [job for run, job in zip(runs, newest, strict=True) if job is not None and not is_local(run)]
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
    return [_standing(run, job, known.get(job or ""), now, answers) for run, job in zip(runs, newest, strict=True)]


def is_local(run: RunDir) -> bool:
    """True if the newest request was for processes on one machine."""
    asked = history.last_request(history.read(run.path))
    return asked is not None and asked[1].executor == "local"


def controller_lives(run: RunDir) -> bool:
    """True if a local job works on the run: its controller holds the lock, on this machine."""
    try:
        file = os.open(run.logs / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _standing(run: RunDir, job_id: str | None, slurm: SlurmJob | None, now: float, answers: bool) -> Standing:
    local = is_local(run)
    active = controller_lives(run) if local else slurm is not None and slurm.active
    state = state_of(run.segments(), silence(run, now), slurm, local_lives=local and active)
    if state in ("submitted", "running") and slurm is None and job_id is not None and not local and answers:
        state = "gone"
    return Standing(state, job_id, slurm, local, active)


def silence(run: RunDir, now: float) -> float:
    """Seconds since the run was last heard of."""
    touched: Path = run.journal if run.journal.exists() else run.identity_file
    return max(0.0, now - touched.stat().st_mtime)


def state_of(
    segments: list[Segment], silent_seconds: float, slurm: SlurmJob | None = None, local_lives: bool = False
) -> str:
    """One word for the state; what the run itself says of its end comes before the scheduler's word."""
    last = segments[-1] if segments else None
    if last is not None and last.reason == FINISHED:
        return FINISHED
    if slurm is not None and slurm.active:
        return {"PENDING": "queued", "RUNNING": "running", "SUSPENDED": "suspended"}.get(slurm.state, "ending")
    if slurm is not None and (last is None or last.event == "start" or slurm.state == "CANCELLED"):
        return {"CANCELLED": "cancelled", "PREEMPTED": "preempted", "TIMEOUT": "out of time"}.get(slurm.state, "failed")
    if local_lives:
        return "running"
    if last is None:
        return "submitted"
    if last.event == "end":
        return last.reason or "ended"
    return "running" if silent_seconds < SILENT_SECONDS else "silent"
