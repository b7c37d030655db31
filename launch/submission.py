"""Hand a run directory to submitit: the same for a laptop and for a cluster."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from submitit import Job

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.errors import UserError
from dual_hpc.tracking.run_dir import RunDir
from launch import history
from launch.job import train_rank
from launch.local import RankExecutor
from launch.profiles import Profile
from launch.request import check
from launch.runs import PlannedRun
from launch.sbatch_job import submit_slurm
from launch.scheduler import Scheduler
from launch.snapshot import ARCHIVE, write_archive


def submit(plan: PlannedRun, profile: Profile, new_code: bool = False) -> Job[Any]:
    """Start the training of a run as one job; its directory is made only once the request has been checked.

    Args:
        new_code: pack the code anew; otherwise a run keeps what it was first submitted with.

    Raises:
        UserError: the request does not fit the profile, there is no Slurm here, or a job works on the run already.
        EnvironmentFault: Slurm refused the job.
    """
    request = plan.config.launch
    check(request, profile)
    if profile.executor == "slurm" and shutil.which("sbatch") is None:
        raise UserError(
            f"launch.profile={profile.name}: no sbatch on this machine; submit from a login node, or use local"
        )
    if profile.executor == "slurm":
        refuse_second_job(plan.path)
    run = plan.open()
    run.logs.mkdir(parents=True, exist_ok=True)
    if new_code:
        (run.path / ARCHIVE).unlink(missing_ok=True)
    write_archive(run.path)
    (run.path / history.STOP).unlink(missing_ok=True)
    if profile.executor == "local":
        return submit_local(run, request, profile)
    return submit_slurm(train_rank, run.path, request, profile, history.Entry(event="submit", job_id=""))


def submit_local(run: RunDir, request: LaunchConfig, profile: Profile) -> Job[Any]:
    """Processes on this machine."""
    executor = RankExecutor(run.logs.absolute(), request.ranks_per_node, request.hours, profile.signal_seconds)
    job = executor.submit(train_rank, str(run.path.absolute()))
    history.record(run.path, history.Entry(event="submit", job_id=job.job_id, request=request, profile=profile))
    return job


def refuse_second_job(run: Path) -> None:
    """A run is worked on by one job at a time.

    Raises:
        UserError: Slurm has a job of it, waiting or running.
    """
    known = Scheduler().jobs(history.jobs(history.read(run))[-1:])
    active = [job for job in known.values() if job.active]
    if active:
        state = active[0].state.lower()
        raise UserError(f"name: job {active[0].job_id} of the run {run} is {state}; wait for it, or cancel it")
