"""The status of runs: read their files, ask the scheduler once, and join the two."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.locks import LocksUnsupported, try_lock
from dual_hpc.files.regular_file import regular_descriptor
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.this_job import node_name
from launch.cluster.job_record import SlurmJob
from launch.cluster.slurm import LOOK_PATIENCE, Scheduler, available
from launch.cluster.state import State
from launch.job.local_job import LOCK
from launch.records import failures, submissions
from launch.records.failures import Failure
from launch.records.readable import partition
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
        slurm_silent: Slurm did not answer; the state is what the run wrote itself.
        seconds_since_update: since the run wrote to its journal.
    """

    state: State
    job_id: str | None
    slurm: SlurmJob | None
    local: bool
    active: bool
    slurm_silent: bool = False
    seconds_since_update: float = 0.0

    @property
    def maybe_active(self) -> bool:
        """A job may work on the run: one does, or Slurm cannot say."""
        return self.active or (self.slurm_silent and self.state is not State.FINISHED)


def run_statuses(runs: Sequence[RunDir], scheduler: Scheduler, now: float, tolerant: bool = False) -> list[RunStatus]:
    """The status of each run; Slurm is asked once for all of them.

    Args:
        now: Unix time in seconds.
        tolerant: where Slurm does not answer, warn and use the runs' own records.

    Raises:
        EnvironmentFault: Slurm does not answer, and that is not tolerated.
    """
    histories = [submissions.read(run.path) for run in runs]
    # Nothing that Slurm says changes the state of a finished run, and a store has many.
    asked = [
        job
        for run, history in zip(runs, histories, strict=True)
        if (job := slurm_job(history)) is not None and not has_finished(run)
    ]
    answers = available()
    known: dict[str, SlurmJob] = {}
    silent = False
    if asked and answers:
        try:
            known = scheduler.jobs(asked)
        except EnvironmentFault as error:
            if not tolerant:
                raise
            log.warning("%s; the states are those the runs wrote themselves", str(error)[:160])
            silent = True
    answer = SlurmAnswer(known, available=answers, silent=silent, accounting_silent=scheduler.accounting_silent)
    return [_run_status(run, history, answer, now) for run, history in zip(runs, histories, strict=True)]


@dataclass(frozen=True)
class SlurmAnswer:
    """What Slurm says of all the jobs that it was asked for, and whether it could say it.

    Attributes:
        available: its commands are installed here.
        silent: its controller did not answer.
        accounting_silent: only the accounts of ended jobs did not.
    """

    known: dict[str, SlurmJob]
    available: bool
    silent: bool
    accounting_silent: bool


def readable_statuses(
    runs: Sequence[RunDir], scheduler: Scheduler, now: float, tolerant: bool = False
) -> tuple[dict[Path, RunStatus], dict[Path, str]]:
    """As `run_statuses`, by path, and in the same way the reason of each run that cannot be read: it hides no other.

    Args:
        scheduler: asked once for all; again, or from its memory, only where a run cannot be read.
    """
    try:
        return dict(zip([r.path for r in runs], run_statuses(runs, scheduler, now, tolerant), strict=True)), {}
    except EnvironmentFault:
        raise
    except Exception:  # whatever somebody wrote into the files of one of them
        return partition(runs, lambda run: run_statuses([run], scheduler, now, tolerant)[0])


def states_at_rest(runs: Sequence[RunDir]) -> dict[Path, str]:
    """The states of those runs that no job works on now, by their folders; unreadable ones are left out."""
    scheduler = Scheduler(interval=60, patience=LOOK_PATIENCE)
    found, _ = readable_statuses(runs, scheduler, time.time(), tolerant=True)
    resting = {path: one.state for path, one in found.items() if not one.maybe_active or one.state is State.QUEUED}
    return {path: state.value for path, state in resting.items()}


def has_finished(run: RunDir) -> bool:
    """True where training has done all its steps."""
    return run.has_finished()


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
        file = regular_descriptor(run.logs / LOCK)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(file, run.logs / LOCK, shared=True)
    except LocksUnsupported:  # so no controller can hold it
        return False
    finally:
        os.close(file)


def began_here(segments: Sequence[Segment], job_id: str | None) -> bool:
    """True if this job began to train on this machine: another machine may hold the lock of its controller."""
    last = segments[-1] if segments else None
    return last is not None and last.event == "start" and last.job_id == job_id and last.hosts == [node_name()]


def seconds_since_update(run: RunDir, now: float) -> float:
    """Seconds since the run last made progress, as the time of its journal says (`Journal.touch`), or was made."""
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


def _run_status(run: RunDir, history: list[submissions.Entry], answer: SlurmAnswer, now: float) -> RunStatus:
    local, job_id = is_local(history), submissions.last_job(history)
    slurm = None if local else answer.known.get(job_id or "")
    asked = not local and job_id is not None
    silent = asked and slurm is None and (answer.silent or answer.accounting_silent)
    active = controller_lives(run) if local else slurm is not None and slurm.active
    failed = [] if active else newest_failures(run, history)
    segments = run.segments()
    records = RunRecords(segments, history, failed, seconds_since_update(run, now))
    knows = asked and answer.available and not silent
    dead = local and not active and began_here(segments, job_id)
    state = run_state(records, slurm, local_alive=local and active, local_dead=dead, slurm_answers=knows)
    return RunStatus(state, job_id, slurm, local, active, silent, records.silent_seconds)
