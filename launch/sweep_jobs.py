"""Submit the members of a sweep as one job array, and show them in MLflow as children of one run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from submitit.core.utils import FailedJobError
from submitit.slurm.slurm import SlurmExecutor

from dual_hpc.config.schema import RunConfig
from dual_hpc.errors import EnvironmentFault, UserError
from launch import history
from launch.job import train_rank
from launch.profiles import Profile
from launch.request import check
from launch.runs import PlannedRun
from launch.sbatch import python_command, sbatch_parameters
from launch.sbatch_job import without_allocation
from launch.snapshot import ARCHIVE, write_archive
from launch.sweep import SweepDir

if TYPE_CHECKING:
    from launch.gather import Row

PARENT_TAG = "mlflow.parentRunId"


def check_array(plans: Sequence[PlannedRun], profile: Profile) -> None:
    """Refuse what the cluster, or an array, does not take.

    Raises:
        UserError: the request does not fit the profile, or the members ask for different jobs.
    """
    request = plans[0].config.launch
    if any(plan.config.launch != request for plan in plans):
        raise UserError("the members of a sweep share one job array: launch.* cannot be an axis")
    check(request, profile)


def submit_array(sweep: SweepDir, plans: Sequence[PlannedRun], profile: Profile, parallel: int) -> list[str]:
    """One array with a task per plan, at most `parallel` of them at a time; a single plan is a plain job.

    Returns:
        The job ids, in the order of `plans`.

    Raises:
        UserError: the request does not fit the profile.
        EnvironmentFault: Slurm refused the array.
    """
    check_array(plans, profile)
    request = plans[0].config.launch
    (sweep.path / "logs").mkdir(parents=True, exist_ok=True)
    archive = write_archive(sweep.path)
    for plan in plans:
        run = plan.open()
        (run.path / history.STOP).unlink(missing_ok=True)
        if not (run.path / ARCHIVE).exists():
            shutil.copyfile(archive, run.path / ARCHIVE)
    executor = SlurmExecutor(sweep.path / "logs", python=python_command(sys.executable, sweep.path))
    executor.update_parameters(**sbatch_parameters(profile, request, sweep.path, sys.executable))
    executor.update_parameters(array_parallelism=parallel)
    try:
        with without_allocation(), executor.batch():
            jobs = [executor.submit(train_rank, str(plan.path)) for plan in plans]
    except FailedJobError as error:
        raise EnvironmentFault(f"sbatch refused the array: {' '.join(str(error).split())}") from error
    sweep.save()
    for plan, job in zip(plans, jobs, strict=True):
        entry = history.Entry(event="submit", job_id=job.job_id, request=request, profile=profile)
        history.record(plan.path, entry)
    return [job.job_id for job in jobs]


def parent_run(config: RunConfig, name: str) -> str:
    """MLflow's id of the sweep's own run, made on first use; its members carry it as a tag."""
    from dual_hpc.tracking.mlflow_store import experiment_id, store_of

    store = store_of(config)
    with store.client() as client:
        experiment = experiment_id(client, store, config.tracking.experiment)
        found = client.search_runs([experiment], f"tags.`dual.sweep_parent` = '{name}'", max_results=1)
        if found:
            return str(found[0].info.run_id)
        return str(client.create_run(experiment, run_name=name, tags={"dual.sweep_parent": name}).info.run_id)


def conclude(config: RunConfig, name: str, rows: Sequence[Row]) -> None:
    """Write mean and deviation into the sweep's own MLflow run; end it when all members have finished."""
    from dual_hpc.tracking.mlflow_store import store_of
    from launch.gather import summary

    parent = parent_run(config, name)
    with store_of(config).client() as client:
        for score, (mean, deviation, count) in summary(rows).items():
            key = score.translate(str.maketrans("", "", "{},")).replace(" ", "_")
            for suffix, value in (("mean", mean), ("std", deviation), ("runs", count)):
                client.log_metric(parent, f"{key}/{suffix}", float(value), timestamp=0, step=0)
        if all(row.state == "finished" for row in rows):
            client.set_terminated(parent, "FINISHED")
