"""Which run, sweep or command's job a name means."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dual_hpc.config.schema import RunConfig
    from launch.runs.target import Target


def find_target(name: str, store: Path | None = None) -> Target:
    """The run, else the sweep, else the command's job of this name in a store, or in this folder.

    Args:
        store: None for the default one.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    from dual_hpc.config.paths import default_store, runs_dir
    from dual_hpc.errors import UserError
    from launch.commands.job_dir import find_job
    from launch.commands.target import CommandTarget
    from launch.records.nearest import did_you_mean
    from launch.runs.plan import find_run
    from launch.runs.target import RunTarget
    from launch.sweeps.grid import find_sweep
    from launch.sweeps.target import SweepTarget

    where = (store or default_store()).absolute()
    try:
        return RunTarget(find_run(name, str(where)))
    except UserError:
        if (sweep := find_sweep(name, where)) is not None:
            return SweepTarget(sweep)
        if (job := find_job(name, where)) is not None:
            return CommandTarget(job)
        if not any(path.exists() for path in (Path(name), runs_dir(where) / name)):
            meant = did_you_mean(name, [where / kind for kind in ("runs", "sweeps", "jobs")])
            lists = "; `dual-hpc runs` lists the runs and jobs (DUAL_STORE names another store)"
            raise UserError(f"there is no run, sweep or job {name!r} in {where}{meant or lists}") from None
        raise


def find_jobs_to_wait_for(config: RunConfig) -> None:
    """Replace what `launch.after` names (runs, sweeps, commands' jobs, job ids) by the ids of their newest jobs.

    Raises:
        UserError: there is nothing of this name, or it was never submitted to Slurm.
    """
    from dual_hpc.errors import UserError

    found: list[str] = []
    for name in config.launch.after:
        is_id = re.fullmatch(r"\d+(_\d+)?", name)
        jobs = [name] if is_id else find_target(name, Path(config.store)).jobs()
        if not jobs:
            raise UserError(f"launch.after={name}: it was never submitted")
        found += jobs
    config.launch.after = found


def add_target(parser: argparse.ArgumentParser, kinds: str = "a run, a sweep, or a job of `submit -- VERB`") -> None:
    """The argument that names it."""
    parser.add_argument("target_name", metavar="NAME", help=f"{kinds}: its name, or its folder")
    parser.add_argument("--store", metavar="DIR", help="where NAME is looked up (default: DUAL_STORE, see `runs`)")


def target(args: argparse.Namespace) -> Target:
    """What `add_target`'s arguments name.

    Raises:
        UserError: there is no such run, sweep or job.
    """
    return find_target(args.target_name, Path(args.store) if args.store else None)
