"""Ask a run's job to stop, or end it."""

from __future__ import annotations

import os
import signal
import time

from dual_hpc.errors import UserError
from dual_hpc.tracking.run_dir import RunDir
from launch import history
from launch.jobs import JobDir
from launch.scheduler import Scheduler, command
from launch.standing import Standing, standings
from launch.sweep import SweepDir


def stop(run: RunDir, standing: Standing) -> str:
    """Save at the next step, end, and do not go on; a job that has not begun is taken out of the queue.

    The file alone would do; the signal makes a step's difference. Returns what was done.

    Raises:
        UserError: nothing works on the run.
    """
    job_id = _active(run, standing)
    (run.path / history.STOP).touch()
    queued = standing.state == "queued"
    history.record(run.path, history.Entry(event="stop", job_id=job_id, cause=history.QUEUED if queued else None))
    if standing.local:
        os.kill(int(job_id), signal.SIGTERM)
    elif queued:
        command(["scancel", job_id])
        return f"job {job_id} has left the queue"
    else:
        command(["scancel", "--signal=USR2", job_id])
    return f"job {job_id} saves and stops"


def cancel(run: RunDir, standing: Standing) -> str:
    """End the job at once; what was done since the last checkpoint is lost, and it does not rise again.

    Raises:
        UserError: nothing works on the run.
    """
    job_id = _active(run, standing)
    (run.path / history.STOP).touch()
    history.record(run.path, history.Entry(event="cancel", job_id=job_id))
    if standing.local:
        os.kill(int(job_id), signal.SIGKILL)
    else:
        jobs = Scheduler().jobs(history.jobs(history.read(run.path)))
        command(["scancel", *(job.job_id for job in jobs.values() if job.active)])
    return f"job {job_id} is cancelled"


def cancel_job(job: JobDir) -> str:
    """End the tasks of a job of another verb that wait or run.

    Raises:
        UserError: none does.
    """
    known = Scheduler().jobs(job.description().job_ids)
    left = [task.job_id for task in known.values() if task.active]
    if not left:
        raise UserError(f"no task of {job.name} waits or runs; `dual-hpc why {job.name}` says more")
    command(["scancel", *left])
    return f"job {', '.join(left)} is cancelled"


def stop_sweep(sweep: SweepDir) -> list[str]:
    """`stop` every member that waits or runs.

    Raises:
        UserError: none does.
    """
    return [f"{run.path.name}: {stop(run, standing)}" for run, standing in _active_members(sweep)]


def cancel_sweep(sweep: SweepDir) -> list[str]:
    """`cancel` every member that waits or runs.

    Raises:
        UserError: none does.
    """
    return [f"{run.path.name}: {cancel(run, standing)}" for run, standing in _active_members(sweep)]


def _active_members(sweep: SweepDir) -> list[tuple[RunDir, Standing]]:
    runs = [run for run in sweep.runs() if run.identity_file.exists()]
    seen = zip(runs, standings(runs, Scheduler(), time.time()), strict=True)
    # Those that wait first: a place that falls free would be theirs.
    active = sorted((one for one in seen if one[1].active), key=lambda one: one[1].state != "queued")
    if not active:
        name = sweep.sweep.name
        raise UserError(f"no member of {name} waits or runs; `dual-hpc sweep --show {name}` says more")
    return active


def _active(run: RunDir, standing: Standing) -> str:
    if not standing.active or standing.job_id is None:
        raise UserError(f"no job works on {run.path.name} ({standing.state}); `dual-hpc why {run.path.name}` says more")
    return standing.job_id
