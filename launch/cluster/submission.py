"""Hand jobs to Slurm: the one place that calls sbatch."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from submitit import Job
from submitit.core.utils import FailedJobError
from submitit.slurm.slurm import SlurmExecutor

from dual_hpc.errors import EnvironmentFault, one_line
from dual_hpc.run.this_job import JOB_ID
from launch.cluster.sbatch import python_command

# A function and its arguments, which a job calls in each of its processes.
Call = tuple[Callable[..., object], tuple[object, ...]]


def submit_jobs(calls: Sequence[Call], folder: Path, parameters: Mapping[str, Any]) -> list[Job[Any]]:
    """One job per call: a single one is a plain job, several are the members of one job array.

    Args:
        folder: whose code archive the jobs run, and whose `logs/` they write to.
        parameters: of submitit's SlurmExecutor; see `launch.cluster.sbatch.sbatch_parameters`.

    Returns:
        The jobs, with their ids, in the order of `calls`.

    Raises:
        EnvironmentFault: Slurm refused them; none was submitted.
    """
    executor = SlurmExecutor(folder / "logs", python=python_command(sys.executable, folder))
    executor.update_parameters(**parameters)
    try:
        with hold_back_stderr(), without_allocation(), executor.batch():
            return [executor.submit(function, *args) for function, args in calls]
    except FailedJobError as error:
        what = "the job" if len(calls) == 1 else f"the array of {len(calls)} jobs"
        raise EnvironmentFault(f"sbatch refused {what}: {one_line(error)}") from error


@contextlib.contextmanager
def hold_back_stderr() -> Iterator[None]:
    """Print what is written to standard error once sbatch has accepted the job; what it refuses is in the error."""
    held = io.StringIO()
    with contextlib.redirect_stderr(held):
        yield
    sys.stderr.write(held.getvalue())


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
