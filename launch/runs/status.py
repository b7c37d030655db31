"""The status of runs: read their files, ask the scheduler once, and join the two."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.errors import EnvironmentFault
from dual_hpc.locks import LocksUnsupported, try_lock
from dual_hpc.run.directory import RunDir
from launch.cluster.slurm import Scheduler, SlurmJob, available
from launch.cluster.state import State
from launch.job.local_job import LOCK
from launch.records import failures, submissions
from launch.records.failures import Failure
from launch.runs.state import RunRecords, run_state

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunStatus:
    """One run and its newest job.

    Attributes:
        job_id: the newest job; None if the run was never submitted.
        slurm: what Slurm says of that job; None for a local one, or where Slurm has forgotten it.
        local: the newest job is (or was) processes of one machine.
        active: a job waits for, or works on, the run.
    """

    state: State
    job_id: str | None
    slurm: SlurmJob | None
    local: bool
    active: bool


def run_statuses(runs: Sequence[RunDir], scheduler: Scheduler, now: float, tolerant: bool = False) -> list[RunStatus]:
    """The status of each run; Slurm is asked once for all of them.

    Args:
        now: Unix time in seconds.
        tolerant: where Slurm does not answer, warn and use the runs' own records.

    Raises:
        EnvironmentFault: Slurm does not answer, and that is not tolerated.
    """
    histories = [submissions.read(run.path) for run in runs]
    asked = [job for history in histories if (job := slurm_job(history)) is not None]
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
    return [_run_status(run, history, known, now, answers) for run, history in zip(runs, histories, strict=True)]


def is_local(history: list[submissions.Entry]) -> bool:
    """True if the newest request was for processes on one machine."""
    asked = submissions.last_request(history)
    return asked is not None and asked[1].executor == "local"


def slurm_job(history: list[submissions.Entry]) -> str | None:
    """The newest job, where it is one of Slurm."""
    return None if is_local(history) else submissions.last_job(history)


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


def seconds_since_update(run: RunDir, now: float) -> float:
    """Seconds since the run wrote to its journal, or was made."""
    touched: Path = run.journal if run.journal.exists() else run.identity_file
    return max(0.0, now - touched.stat().st_mtime)


def newest_failures(run: RunDir, history: list[submissions.Entry]) -> list[Failure]:
    """What the ranks of the newest job wrote when they failed, since they were started last."""
    job_id = submissions.last_job(history)
    if job_id is None:
        return []
    asked = max((entry.time for entry in history if entry.event in ("submit", "chain")), default=0.0)
    starts = [segment.time for segment in run.segments() if segment.event == "start"]
    return [failure for failure in failures.read(run.logs, job_id) if failure.time >= max(asked, *starts[-1:], 0.0)]


def _run_status(
    run: RunDir, history: list[submissions.Entry], known: dict[str, SlurmJob], now: float, answers: bool
) -> RunStatus:
    local, job_id = is_local(history), submissions.last_job(history)
    slurm = None if local else known.get(job_id or "")
    active = controller_lives(run) if local else slurm is not None and slurm.active
    failed = [] if active else newest_failures(run, history)
    records = RunRecords(run.segments(), history, failed, seconds_since_update(run, now))
    state = run_state(records, slurm, local_alive=local and active, slurm_answers=answers and not local)
    return RunStatus(state, job_id, slurm, local, active)
