"""All runs and jobs of a store; one that cannot be read is named, and hides no other."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from dual_hpc.config.paths import runs_dir
from dual_hpc.errors import DualError, EnvironmentFault, one_line
from dual_hpc.run import names
from dual_hpc.run.directory import RunDir
from launch.cluster.slurm import Scheduler, available
from launch.commands.job_dir import list_jobs
from launch.commands.status import CommandStatus, command_statuses
from launch.records import submissions
from launch.runs.status import run_statuses, slurm_job
from launch.runs.summary import RunSummary, summarize


@dataclass
class StoreListing:
    """What a store holds, oldest first.

    Attributes:
        broken: run directories that cannot be read, with the reason.
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
    made, found = StoreListing(), []
    for identity in sorted(runs_dir(store).glob(f"*/{names.IDENTITY}")):
        run = RunDir(identity.parent)
        try:
            run.segments()  # that they can be read is found out here
            found.append((run.identity().created, run, slurm_job(submissions.read(run.path))))
        except (OSError, DualError) as error:
            made.broken[run.path] = one_line(error)
    found.sort(key=lambda one: one[0])
    jobs = list_jobs(store)
    ids = [job for *_, job in found if job is not None] + [id_ for job in jobs for id_ in job.description().job_ids]
    if ids and available():
        with contextlib.suppress(EnvironmentFault):  # those who need the answer ask again, and warn
            scheduler.jobs(ids)
    runs = [run for _, run, _ in found]
    for run, status in zip(runs, run_statuses(runs, scheduler, now, tolerant=True), strict=True):
        try:
            made.runs.append(summarize(run, status, now))
        except OSError as error:
            made.broken[run.path] = one_line(error)
    made.jobs = command_statuses(jobs, scheduler)
    return made
