"""Submit one job of Slurm for a run: the first, or one that a job chains after itself."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from submitit import Job
from submitit.core.utils import FailedJobError
from submitit.slurm.slurm import SlurmExecutor

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.errors import EnvironmentFault, one_line
from dual_hpc.run.this_job import JOB_ID
from launch.cluster.profiles import Profile
from launch.cluster.sbatch import python_command, sbatch_parameters
from launch.records import submissions

# What each rank calls with the run directory. Given by the caller: the rank itself may submit the next job.
RankFunction = Callable[[str], str]


def submit_slurm(
    rank_function: RankFunction,
    run: Path,
    request: LaunchConfig,
    profile: Profile,
    entry: submissions.Entry,
    after: str | None = None,
) -> Job[Any]:
    """Submit a job of which each rank calls `rank_function` with the run directory.

    Args:
        entry: recorded in the run's submissions once the job has an id; its bad nodes are excluded.
        after: the job whose end it waits for.

    Raises:
        EnvironmentFault: Slurm refused the job.
    """
    run = run.absolute()
    executor = SlurmExecutor(run / "logs", python=python_command(sys.executable, run))
    executor.update_parameters(**sbatch_parameters(profile, request, run, sys.executable, after, entry.bad_nodes))
    try:
        with without_allocation():
            job = executor.submit(rank_function, str(run))
    except FailedJobError as error:
        raise EnvironmentFault(f"sbatch refused the job: {one_line(error)}") from error
    update = {"job_id": job.job_id, "request": request, "profile": profile}
    submissions.record(run, entry.model_copy(update=update))
    return job


@contextlib.contextmanager
def without_allocation() -> Iterator[None]:
    """Hide the variables that sbatch would read as options, and those of the job that submits the next one.

    SLURM_CONF names the cluster, and stays.
    """
    prefixes = ("SLURM_", "SBATCH_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_")
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", JOB_ID)
    inherited = [key for key in os.environ if key.startswith(prefixes) or key in names]
    hidden = {key: os.environ.pop(key) for key in inherited if key != "SLURM_CONF"}
    try:
        yield
    finally:
        os.environ.update(hidden)
