"""Hand a run directory to submitit: the same for a laptop and for a cluster."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

from submitit import Job
from submitit.core.utils import FailedJobError
from submitit.slurm.slurm import SlurmExecutor

from dual_hpc.errors import EnvironmentFault, UserError
from launch.job import train_rank
from launch.local import RankExecutor
from launch.profiles import Profile
from launch.request import check
from launch.runs import PlannedRun
from launch.sbatch import sbatch_parameters


def submit(plan: PlannedRun, profile: Profile) -> Job[Any]:
    """Start the training of a run as one job; its directory is made only once the request has been checked.

    Raises:
        UserError: the request does not fit the profile, or there is no Slurm here.
        EnvironmentFault: Slurm refused the job.
    """
    request = plan.config.launch
    check(request, profile)
    if profile.executor == "slurm" and shutil.which("sbatch") is None:
        raise UserError(
            f"launch.profile={profile.name}: no sbatch on this machine; submit from a login node, or use local"
        )
    run = plan.open()
    run.logs.mkdir(parents=True, exist_ok=True)
    logs, path = run.logs.absolute(), str(run.path.absolute())
    if profile.executor == "local":
        return RankExecutor(logs, request.ranks_per_node, request.hours, profile.signal_seconds).submit(
            train_rank, path
        )
    executor = SlurmExecutor(logs)
    executor.update_parameters(**sbatch_parameters(profile, request, plan.config.name))
    try:
        with _without_allocation():
            return executor.submit(train_rank, path)
    except FailedJobError as error:
        raise EnvironmentFault(f"sbatch refused the job: {' '.join(str(error).split())}") from error


@contextlib.contextmanager
def _without_allocation() -> Iterator[None]:
    """Hide the submitting shell's own allocation: sbatch reads SLURM_*/SBATCH_* variables as options.

    SLURM_CONF says which cluster to talk to, and stays.
    """
    prefixes = ("SLURM_", "SBATCH_", "SRUN_")
    hidden = {key: os.environ.pop(key) for key in list(os.environ) if key.startswith(prefixes) and key != "SLURM_CONF"}
    try:
        yield
    finally:
        os.environ.update(hidden)
