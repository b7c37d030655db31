"""End the tasks of a command's job."""

from __future__ import annotations

from dual_hpc.errors import UserError
from launch.cluster.client import call
from launch.cluster.slurm import Scheduler
from launch.commands.job_dir import JobDir


def cancel_job(job: JobDir) -> str:
    """End the tasks of a job of another verb that wait or run.

    Raises:
        UserError: none does.
    """
    known = Scheduler().jobs(job.description().job_ids)
    left = [task.job_id for task in known.values() if task.active]
    if not left:
        raise UserError(f"no task of {job.name} waits or runs; `dual-hpc why {job.name}` explains it")
    call(["scancel", "--quiet", *left])
    return f"job {', '.join(left)} is cancelled"
