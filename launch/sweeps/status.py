"""The status of a sweep's members."""

from __future__ import annotations

import logging
import os
import time

from dual_hpc.run.directory import RunDir
from launch.cluster.slurm import Scheduler
from launch.cluster.state import State
from launch.records.readable import partition
from launch.runs.status import readable_statuses
from launch.runs.summary import RunSummary, summarize
from launch.sweeps.grid import SweepDir

log = logging.getLogger(__name__)


def member_summaries(sweep: SweepDir, scheduler: Scheduler) -> list[RunSummary]:
    """One row per member, also for one whose folder is gone or cannot be read; Slurm is asked once for all of them."""
    runs, now = sweep.runs(), time.time()
    there = [run for run in runs if os.path.lexists(run.identity_file)]
    statuses, broken = readable_statuses(there, scheduler, now, tolerant=True)
    readable = (run for run in there if run.path in statuses)
    rows, unread = partition(readable, lambda run: summarize(run, statuses[run.path], now))
    for path, reason in (broken | unread).items():
        log.warning("%s cannot be read: %s", path.name, reason)
    damaged = broken.keys() | unread.keys()
    return [
        rows.get(run.path) or _absent(run, State.UNREADABLE if run.path in damaged else State.MISSING) for run in runs
    ]


def _absent(run: RunDir, state: State) -> RunSummary:
    return RunSummary(
        name=run.path.name,
        path=str(run.path),
        state=state,
        step=0,
        total=None,
        loss=None,
        ua_av=None,
        ua_avt=None,
        test_ua=None,
        segments=0,
        age_seconds=None,
        job_id=None,
        slurm_state=None,
        slurm_reason=None,
        nodes=None,
    )
