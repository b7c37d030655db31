"""All runs and jobs of a store; one that cannot be read is named, and hides no other."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from dual_hpc.config.paths import runs_dir
from dual_hpc.errors import EnvironmentFault
from dual_hpc.run import names
from dual_hpc.run.directory import RunDir
from launch.cluster.slurm import Scheduler, available
from launch.commands.job_dir import list_jobs
from launch.commands.status import CommandStatus, command_statuses
from launch.records import submissions
from launch.records.readable import folders_with, partition
from launch.runs.status import readable_statuses, slurm_job
from launch.runs.summary import RunSummary, summarize


@dataclass
class StoreListing:
    """What a store holds, oldest first.

    Attributes:
        broken: folders of runs and jobs that cannot be read, with the reason.
    """

    runs: list[RunSummary] = field(default_factory=list)
    jobs: list[CommandStatus] = field(default_factory=list)
    broken: dict[Path, str] = field(default_factory=dict)


def list_store(store: Path, scheduler: Scheduler, now: float) -> StoreListing:
    """Every run and every job of another verb.

    Args:
        scheduler: with an interval, so that Slurm is asked once for all of them.
        now: Unix time in seconds.
    """
    made = StoreListing()
    ages, broken = partition(map(RunDir, folders_with(runs_dir(store), names.IDENTITY)), _age_and_job)
    made.broken |= broken
    runs = [RunDir(path) for path in sorted(ages, key=lambda path: ages[path][0])]
    jobs = list_jobs(store, made.broken)
    ids = [job for _, job in ages.values() if job is not None]
    ids += [task for job in jobs for task in job.description().job_ids]
    if ids and available():
        with contextlib.suppress(EnvironmentFault):  # those who need the answer ask again, and warn
            scheduler.jobs(ids)
    statuses, broken = readable_statuses(runs, scheduler, now, tolerant=True)
    made.broken |= broken
    rows, broken = partition(
        (run for run in runs if run.path in statuses), lambda run: summarize(run, statuses[run.path], now)
    )
    made.runs, made.broken = list(rows.values()), made.broken | broken
    found, broken = partition(jobs, lambda job: command_statuses([job], scheduler)[0])
    made.jobs, made.broken = list(found.values()), made.broken | broken
    return made


def _age_and_job(run: RunDir) -> tuple[float, str | None]:
    run.segments()  # that they can be read is found out here
    return run.identity().created, slurm_job(submissions.read(run.path))
