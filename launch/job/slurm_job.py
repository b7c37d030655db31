"""Submit one job of Slurm for a run: the first, or one that a job chains after itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from submitit import Job

from dual_hpc.config.schema import LaunchConfig
from launch.cluster.client import PATIENCE
from launch.cluster.profiles import Profile
from launch.cluster.sbatch import sbatch_parameters
from launch.cluster.submission import submit_jobs
from launch.records import submissions

# What each rank calls with the run directory. Given by the caller: the rank itself may submit the next job.
RankFunction = Callable[[str], str]


def submit_slurm(
    rank_function: RankFunction,
    run: Path,
    request: LaunchConfig,
    profile: Profile,
    entry: submissions.Entry,
    after: Sequence[str] = (),
    patience: float = PATIENCE,
) -> Job[Any]:
    """Submit a job of which each rank calls `rank_function` with the run directory.

    Args:
        entry: recorded in the run's submissions once the job has an id; its bad nodes are excluded.
        after: the jobs whose end it waits for.
        patience: seconds to wait for a Slurm that does not answer.

    Raises:
        EnvironmentFault: Slurm refused the job.
    """
    run = run.absolute()
    parameters = sbatch_parameters(profile, request, run, sys.executable, after, entry.bad_nodes)
    (job,) = submit_jobs([(rank_function, (str(run),))], run, parameters, patience)
    update = {"job_id": job.job_id, "request": request, "profile": profile}
    submissions.record(run, entry.model_copy(update=update))
    return job
