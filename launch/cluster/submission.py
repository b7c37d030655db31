"""Hand jobs to Slurm."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from submitit import Job

from dual_hpc.errors import EnvironmentFault
from dual_hpc.run.this_job import JOB_ID
from launch.cluster.client import PATIENCE, SlurmSilent
from launch.cluster.executor import PatientExecutor
from launch.cluster.sbatch import python_command

# A function and its arguments, which a job calls in each of its processes.
Call = tuple[Callable[..., object], tuple[object, ...]]

CONNECTION = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_SACK_KEY")


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
        EnvironmentFault: Slurm refused them, or does not answer; none was submitted.
    """
    executor = PatientExecutor(folder / "logs", python_command(sys.executable, folder), patience)
    executor.update_parameters(**parameters)
    what = "the job" if len(calls) == 1 else f"the array of {len(calls)} jobs"
    try:
        with without_allocation(), executor.batch():
            return [executor.submit(function, *args) for function, args in calls]
    except SlurmSilent as error:
        raise EnvironmentFault(f"{what} was not submitted: {error}; try again later") from error
    except EnvironmentFault as error:
        raise EnvironmentFault(f"sbatch refused {what}: {str(error).removeprefix('sbatch: ')}") from error


@contextlib.contextmanager
def without_allocation() -> Iterator[None]:
    """Hide the variables that sbatch would read as options, and those of the job that submits the next one.

    Those that say which cluster is asked, and as whom, stay.
    """
    prefixes = ("SLURM_", "SBATCH_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_")
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", JOB_ID)
    inherited = [key for key in os.environ if key.startswith(prefixes) or key in names]
    hidden = {key: os.environ.pop(key) for key in inherited if key not in CONNECTION}
    try:
        yield
    finally:
        os.environ.update(hidden)
