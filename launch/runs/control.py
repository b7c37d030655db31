"""Ask a run's job to stop, or end it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir
from launch.cluster.slurm import Scheduler, command
from launch.cluster.state import State
from launch.records import submissions
from launch.runs.status import RunStatus

Member = tuple[RunDir, RunStatus]


def stop(run: RunDir, status: RunStatus) -> str:
    """Save at the next step, end, and do not go on; a job that has not begun is taken out of the queue.

    The file alone would do; the signal makes a step's difference. Returns what was done.

    Raises:
        UserError: nothing works on the run.
    """
    return stop_runs([(run, status)])[0]


def cancel(run: RunDir, status: RunStatus) -> str:
    """End the job at once; what was done since the last checkpoint is lost, and it does not rise again.

    Raises:
        UserError: nothing works on the run.
    """
    return cancel_runs([(run, status)])[0]


def stop_runs(members: Sequence[Member]) -> list[str]:
    """Slurm is told twice at most, however many there are; a job that ends meanwhile is no failure."""
    said: list[str] = []
    waiting: list[str] = []
    running: list[str] = []
    for run, status in members:
        job_id, queued = _active(run, status), status.state is State.QUEUED
        run.stop_file.touch()
        submissions.record(
            run.path, submissions.Entry(event="stop", job_id=job_id, cause=submissions.QUEUED if queued else None)
        )
        if status.local:
            _tell_controller(job_id, signal.SIGTERM)
        else:
            (waiting if queued else running).append(job_id)
        said.append(f"job {job_id} {'has left the queue' if queued else 'saves and stops'}")
    if waiting:
        command(["scancel", "--quiet", *waiting])
    if running:
        command(["scancel", "--quiet", "--signal=USR2", *running])
    return said


def cancel_runs(members: Sequence[Member]) -> list[str]:
    """With the earlier jobs of a run that has chained another one behind it."""
    said: list[str] = []
    jobs: list[str] = []
    for run, status in members:
        job_id = _active(run, status)
        if status.local and not _tell_controller(job_id, signal.SIGKILL):
            raise UserError(f"{run.path.name} is trained on another machine: cancel it there, or `dual-hpc stop` it")
        run.stop_file.touch()
        submissions.record(run.path, submissions.Entry(event="cancel", job_id=job_id))
        if not status.local:
            jobs += submissions.jobs(submissions.read(run.path))
        said.append(f"job {job_id} is cancelled")
    left = [job.job_id for job in Scheduler().jobs(jobs).values() if job.active]
    if left:
        command(["scancel", "--quiet", *left])
    return said


def _tell_controller(job_id: str, number: signal.Signals) -> bool:
    """Signal a local job; False where this process is none: the store may be another machine's too."""
    try:
        words = Path(f"/proc/{job_id}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    if b"launch.local" not in words:
        return False
    os.kill(int(job_id), number)
    return True


def _active(run: RunDir, status: RunStatus) -> str:
    if not status.active or status.job_id is None:
        raise UserError(f"no job works on {run.path.name} ({status.state}); `dual-hpc why {run.path.name}` says more")
    return status.job_id
