"""The status of a sweep's members."""

from __future__ import annotations

import time

from dual_hpc.run.directory import RunDir
from launch.cluster.slurm import Scheduler
from launch.cluster.state import State
from launch.runs.status import run_statuses
from launch.runs.summary import RunSummary, summarize
from launch.sweeps.grid import SweepDir


def member_summaries(sweep: SweepDir, scheduler: Scheduler) -> list[RunSummary]:
    """One row per member, also for one whose folder is gone; Slurm is asked once for all of them."""
    runs, now = sweep.runs(), time.time()
    there = [run for run in runs if run.identity_file.exists()]
    statuses = dict(zip((run.path for run in there), run_statuses(there, scheduler, now, tolerant=True), strict=True))
    return [summarize(run, statuses[run.path], now) if run.path in statuses else _missing(run) for run in runs]


def _missing(run: RunDir) -> RunSummary:
    return RunSummary(
        name=run.path.name,
        path=str(run.path),
        state=State.MISSING,
        step=0,
        total=None,
        loss=None,
        ua_av=None,
        ua_avt=None,
        segments=0,
        age_seconds=None,
        job_id=None,
        slurm_state=None,
        slurm_reason=None,
        nodes=None,
    )
