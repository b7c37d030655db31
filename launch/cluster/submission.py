"""Hand jobs to Slurm."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from submitit import Job

from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.ownership import keep_others_out
from launch.cluster.client import PATIENCE, SlurmSilent
from launch.cluster.executor import PatientExecutor
from launch.cluster.sbatch import python_command
from launch.cluster.shell_environment import check_cluster, unused_options, without_allocation

# A function and its arguments, which a job calls in each of its processes.
Call = tuple[Callable[..., object], tuple[object, ...]]


def submit_jobs(
    calls: Sequence[Call], folder: Path, parameters: Mapping[str, Any], patience: float = PATIENCE
) -> list[Job[Any]]:
    """One job per call: a single one is a plain job, several are the members of one job array.

    Args:
        folder: whose code archive the jobs run, and whose `logs/` they write to.
        parameters: of submitit's SlurmExecutor; see `launch.cluster.sbatch.sbatch_parameters`.
        patience: seconds to wait for a Slurm that does not answer.

    Returns:
        The jobs, with their ids, in the order of `calls`.

    Raises:
        UserError: the shell names several clusters.
        EnvironmentFault: Slurm refused them, or does not answer; none was submitted.
    """
    check_cluster(os.environ)
    executor = PatientExecutor(folder / "logs", python_command(sys.executable, folder), patience)
    executor.update_parameters(**parameters)
    if unused := unused_options(os.environ):
        print(f"dual-hpc: note: {unused}", file=sys.stderr)
    what = "the job" if len(calls) == 1 else f"the array of {len(calls)} jobs"
    try:
        with without_allocation(), executor.batch():
            jobs = [executor.submit(function, *args) for function, args in calls]
        for job in jobs:  # whoever changes one decides what the job runs
            keep_others_out(job.paths.submitted_pickle)
        return jobs
    except SlurmSilent as error:
        raise EnvironmentFault(f"{what} was not submitted: {error}; try again later") from error
    except EnvironmentFault as error:
        raise EnvironmentFault(f"sbatch refused {what}: {str(error).removeprefix('sbatch: ')}") from error
