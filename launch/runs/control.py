"""Ask a run's job to stop, or end it."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from dual_hpc.durations import duration
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.files.ownership import is_others, owner
from dual_hpc.files.real_path import real_path
from dual_hpc.run.directory import RunDir
from launch.cluster.client import call
from launch.cluster.slurm import Scheduler
from launch.cluster.state import State
from launch.records import submissions
from launch.runs.status import RunStatus

log = logging.getLogger(__name__)

Member = tuple[RunDir, RunStatus]


def stop_runs(members: Sequence[Member]) -> list[str]:
    """Save a checkpoint at the next step and stop; a job that has not begun is removed from the queue.

    The stop file alone is enough, also where Slurm does not answer or the job is a colleague's: a run looks for it each
    second, and a job that begins finds it. The signal saves one step. However many runs there are, scancel is called
    twice at most; a job that ends meanwhile is not an error.

    Returns:
        What was done, as one line for each run.

    Raises:
        UserError: no job works on one of the runs, or its folder cannot be written.
    """
    for run, status in members:
        _job_of(run, status)
    # A job that waits is removed even if it was asked before: Slurm may not have answered then.
    asked = [
        None if status.state is State.QUEUED else submissions.stop_asked(submissions.read(run.path))
        for run, status in members
    ]
    _ask_to_stop([run for run, _ in members])
    removed = _tell_slurm([status for (_, status), at in zip(members, asked, strict=True) if at is None])
    return [
        _record_stop(run, status, status.job_id in removed)
        if at is None
        else f"job {status.job_id} was asked to stop at {time.strftime('%H:%M:%S', time.localtime(at))} already, "
        f"{duration(max(0.0, time.time() - at))} ago"
        for (run, status), at in zip(members, asked, strict=True)
    ]


def _tell_slurm(statuses: Sequence[RunStatus]) -> set[str]:
    """Remove the jobs that wait, signal those that run; those that have left the queue."""
    jobs = [(status.job_id or "", status.state) for status in statuses if status.active and not status.local]
    queued = [job for job, state in jobs if state is State.QUEUED]
    running = [job for job, state in jobs if state is not State.QUEUED]
    removed = set(queued) if queued and _scancel(queued, "--state=PENDING") else set()
    if running:
        _scancel(running, "--signal=USR2")
    return removed


def _record_stop(run: RunDir, status: RunStatus, left_queue: bool) -> str:
    job_id = _job_of(run, status)
    cause = submissions.QUEUED if left_queue else None
    try:
        submissions.record(run.path, submissions.Entry(event="stop", job_id=job_id, cause=cause))
    except OSError as error:  # a full disk, a file of a colleague's; the stop file is enough
        log.warning("%s cannot be written: %s; the stop file is there", error.filename, error.strerror)
    if status.local:
        _signal_controller(run, job_id, signal.SIGTERM)
    if left_queue:
        return f"job {job_id} has left the queue"
    begins = status.slurm_silent or status.state is State.QUEUED
    return f"job {job_id} saves and stops" + (" once it finds the stop file: at a step, or when it begins" * begins)


def cancel_runs(members: Sequence[Member]) -> list[str]:
    """End the jobs at once; of a run that has submitted its next job already, both jobs.

    What was done since the last checkpoint is lost, and nothing is requeued.

    Returns:
        What was done, as one line for each run.

    Raises:
        UserError: no job works on one of the runs, or it is another machine's local job.
        EnvironmentFault: Slurm refuses, as it does where the job is a colleague's, or does not answer; then nothing is
            left behind in the run.
    """
    for run, status in members:
        _job_of(run, status)
    jobs = [job for run, one in members if not one.local for job in submissions.jobs(submissions.read(run.path))]
    left = [job.job_id for job in Scheduler().jobs(jobs).values() if job.active]
    made = _ask_to_stop([run for run, _ in members])  # so that no job continues itself meanwhile
    try:
        if left:
            call(["scancel", "--quiet", *left])
    except EnvironmentFault:
        for run in made:
            run.stop_file.unlink(missing_ok=True)
        raise
    for run, status in members:
        job_id = _job_of(run, status)
        if status.local and not _signal_controller(run, job_id, signal.SIGKILL):
            run.stop_file.unlink(missing_ok=True)
            raise UserError(
                f"{run.path.name} is trained on another machine, or by a colleague: cancel it there, as its user, or "
                "`dual-hpc stop` it"
            )
        submissions.record(run.path, submissions.Entry(event="cancel", job_id=job_id))
    return [f"job {status.job_id} is cancelled" for _, status in members]


def _ask_to_stop(runs: Sequence[RunDir]) -> list[RunDir]:
    """Make the stop file of each run, or of none; those that had none before.

    Raises:
        UserError: one is a colleague's, or its folder cannot be written.
    """
    made = []
    for run in runs:
        try:
            run.stop_file.touch(0o644, exist_ok=False)
            made.append(run)
        except FileExistsError:
            continue
        except OSError as error:
            for asked in made:
                asked.stop_file.unlink(missing_ok=True)
            ask = f"; ask {owner(run.path)}, whose run it is" if is_others(run.path) else ""
            raise UserError(f"{run.stop_file} cannot be written: {error.strerror}{ask}") from error
    return made


def _scancel(jobs: Sequence[str], *options: str) -> bool:
    """False where Slurm does not answer, or refuses; the stop file is enough then."""
    try:
        call(["scancel", "--quiet", *options, *jobs])
    except EnvironmentFault as error:
        log.warning("%s; the stop file is there", error)
        return False
    return True


def _signal_controller(run: RunDir, job_id: str, number: signal.Signals) -> bool:
    """Send a signal to the local job of a run; False where the process is not its: the store may be another machine's.

    Its id may be used again, and who wrote it there may be somebody else.
    """
    try:
        words = Path(f"/proc/{job_id}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    folder = words[words.index(b"launch.local") + 1] if b"launch.local" in words[:-1] else b""
    if not folder or real_path(os.fsdecode(folder)) != real_path(run.logs):
        return False
    try:
        os.kill(int(job_id), number)
    except PermissionError:  # a colleague's
        return False
    return True


def _job_of(run: RunDir, status: RunStatus) -> str:
    if not status.maybe_active or status.job_id is None:
        raise UserError(f"no job works on {run.path.name} ({status.state}); `dual-hpc why {run.path.name}` explains it")
    return status.job_id
