"""Stop or cancel every active member of a sweep."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from dual_hpc.errors import UserError
from launch.cluster.client import call
from launch.cluster.slurm import Scheduler, array_of
from launch.cluster.state import State
from launch.runs.control import Member, cancel_runs, stop_runs
from launch.runs.status import readable_statuses
from launch.sweeps.grid import SweepDir

log = logging.getLogger(__name__)


def stop_sweep(sweep: SweepDir) -> list[str]:
    """`stop` every member that waits or runs.

    Raises:
        UserError: none does.
    """
    members = _active_members(sweep, tolerant=True)
    return _named(members, stop_runs(members))


def cancel_sweep(sweep: SweepDir) -> list[str]:
    """`cancel` every member that waits or runs.

    Raises:
        UserError: none does.
    """
    members = _active_members(sweep)
    return _named(members, cancel_runs(members))


def change_parallel(sweep: SweepDir, parallel: int) -> str:
    """Let so many members of a submitted sweep run at a time.

    Raises:
        UserError: none waits or runs, or they are not members of a job array.
        EnvironmentFault: Slurm refuses.
    """
    jobs = [status.job_id for _, status in _active_members(sweep) if status.job_id and not status.local]
    arrays = list(dict.fromkeys(array for job in jobs if (array := array_of(job)) is not None))
    if not arrays:
        raise UserError(f"{sweep.sweep.name} is not a job array: its members do not wait for each other")
    for array in arrays:
        call(["scontrol", "update", f"JobId={array}", f"ArrayTaskThrottle={parallel}"])
    return f"{parallel} members of {sweep.sweep.name} run at a time from now on"


def _named(members: Sequence[Member], lines: Sequence[str]) -> list[str]:
    return [f"{run.path.name}: {line}" for (run, _), line in zip(members, lines, strict=True)]


def _active_members(sweep: SweepDir, tolerant: bool = False) -> list[Member]:
    runs = [run for run in sweep.runs() if run.identity_file.exists()]
    statuses, broken = readable_statuses(runs, Scheduler(interval=60), time.time(), tolerant)
    for path, reason in broken.items():
        log.warning("%s cannot be read, and is left alone: %s", path.name, reason)
    seen = [(run, statuses[run.path]) for run in runs if run.path in statuses]
    # Those that wait first: they would start when a running one ends.
    active = sorted((one for one in seen if one[1].maybe_active), key=lambda one: one[1].state is not State.QUEUED)
    if not active:
        name = sweep.sweep.name
        raise UserError(f"no member of {name} waits or runs; `dual-hpc status {name}` lists them")
    return active
