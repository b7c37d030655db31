"""One job of Slurm for a run: the first, or one that a job chains behind itself."""

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

# What each rank does with the run directory. Given by the caller, because the work itself may submit its successor.
Work = Callable[[str], str]


def submit_slurm(
    work: Work, run: Path, request: LaunchConfig, profile: Profile, entry: submissions.Entry, after: str | None = None
) -> Job[Any]:
    """One job of Slurm that does `work` on a run.

    Args:
        entry: what the run's history will say of it, once it has an id; its bad nodes are avoided.
        after: the job whose end it waits for.

    Raises:
        EnvironmentFault: Slurm refused the job.
    """
    run = run.absolute()
    executor = SlurmExecutor(run / "logs", python=python_command(sys.executable, run))
    executor.update_parameters(**sbatch_parameters(profile, request, run, sys.executable, after, entry.bad_nodes))
    try:
        with without_allocation():
            job = executor.submit(work, str(run))
    except FailedJobError as error:
        raise EnvironmentFault(f"sbatch refused the job: {one_line(error)}") from error
    update = {"job_id": job.job_id, "request": request, "profile": profile}
    submissions.record(run, entry.model_copy(update=update))
    return job


@contextlib.contextmanager
def without_allocation() -> Iterator[None]:
    """Hide what sbatch would take for options, and what a job that submits its successor knows about itself.

    SLURM_CONF says which cluster to talk to, and stays.
    """
    prefixes = ("SLURM_", "SBATCH_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_")
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", JOB_ID)
    foreign = [key for key in os.environ if key.startswith(prefixes) or key in names]
    hidden = {key: os.environ.pop(key) for key in foreign if key != "SLURM_CONF"}
    try:
        yield
    finally:
        os.environ.update(hidden)
