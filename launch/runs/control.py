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


def stop_runs(members: Sequence[Member]) -> list[str]:
    """Save a checkpoint at the next step and stop; a job that has not begun is removed from the queue.

    The stop file alone is enough; the signal saves one step. However many runs there are, scancel is called twice at
    most; a job that ends meanwhile is not an error.

    Returns:
        What was done, as one line for each run.

    Raises:
        UserError: no job works on one of the runs.
    """
    lines: list[str] = []
    waiting: list[str] = []
    running: list[str] = []
    for run, status in members:
        job_id, queued = _active(run, status), status.state is State.QUEUED
        run.stop_file.touch()
        submissions.record(
            run.path, submissions.Entry(event="stop", job_id=job_id, cause=submissions.QUEUED if queued else None)
        )
        if status.local:
            _signal_controller(job_id, signal.SIGTERM)
        else:
            (waiting if queued else running).append(job_id)
        lines.append(f"job {job_id} {'has left the queue' if queued else 'saves and stops'}")
    if waiting:
        command(["scancel", "--quiet", *waiting])
    if running:
        command(["scancel", "--quiet", "--signal=USR2", *running])
    return lines


def cancel_runs(members: Sequence[Member]) -> list[str]:
    """End the jobs at once; of a run that has submitted its next job already, both jobs.

    What was done since the last checkpoint is lost, and nothing is requeued.

    Returns:
        What was done, as one line for each run.

    Raises:
        UserError: no job works on one of the runs, or it is another machine's local job.
    """
    lines: list[str] = []
    jobs: list[str] = []
    for run, status in members:
        job_id = _active(run, status)
        if status.local and not _signal_controller(job_id, signal.SIGKILL):
            raise UserError(f"{run.path.name} is trained on another machine: cancel it there, or `dual-hpc stop` it")
        run.stop_file.touch()
        submissions.record(run.path, submissions.Entry(event="cancel", job_id=job_id))
        if not status.local:
            jobs += submissions.jobs(submissions.read(run.path))
        lines.append(f"job {job_id} is cancelled")
    left = [job.job_id for job in Scheduler().jobs(jobs).values() if job.active]
    if left:
        command(["scancel", "--quiet", *left])
    return lines


def _signal_controller(job_id: str, number: signal.Signals) -> bool:
    """Send a signal to a local job; False where the process is not one: the store may be another machine's."""
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
        raise UserError(f"no job works on {run.path.name} ({status.state}); `dual-hpc why {run.path.name}` explains it")
    return status.job_id
