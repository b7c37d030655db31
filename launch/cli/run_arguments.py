"""The arguments by which the verbs name a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dual_hpc.run.directory import RunDir
    from launch.commands.job_dir import JobDir
    from launch.runs.plan import PlannedRun
    from launch.sweeps.grid import SweepDir


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """A configuration or an existing run, its data, and overrides."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--preset", metavar="NAME", help="a configuration that ships with dual-hpc: demo, iemocap4 ...")
    source.add_argument("--config", metavar="FILE", help="a YAML configuration of your own")
    source.add_argument("--run", metavar="NAME|DIR", help="continue this run with its own configuration")
    parser.add_argument(
        "--shards", metavar="DIR", action="append", default=[], help="a folder of packed shards (repeat for several)"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="any setting, as in training.epochs=5 or name=trial"
    )
    parser.add_argument("--settings", nargs=0, action=_Settings, help="list every setting with its default, and exit")


class _Settings(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from dual_hpc.config.reference import listing

        print(listing(), end="")
        parser.exit()


def planned_run(args: argparse.Namespace, *further: str) -> PlannedRun:
    """The run that the parsed arguments mean; `further` overrides come last."""
    from launch.runs.plan import plan_run

    return plan_run(args.config or args.preset, args.run, [*args.overrides, *further], args.shards)


def add_run(parser: argparse.ArgumentParser, jobs: bool = False) -> None:
    """An existing run, by name or folder.

    Args:
        jobs: the verb also knows what `submit -- VERB` has submitted.
    """
    what = "a run (or a job of `submit -- VERB`)" if jobs else "a run"
    parser.add_argument("run_name", metavar="RUN", help=f"{what} of the store by name, or its folder")
    parser.add_argument("--store", metavar="DIR", help="where RUN is looked up (default: DUAL_STORE, see `runs`)")


def existing_run(args: argparse.Namespace) -> RunDir:
    """The run that `add_run`'s arguments name.

    Raises:
        UserError: there is none, or it is a job of another verb.
    """
    from dual_hpc.errors import UserError
    from launch.commands.job_dir import JobDir

    found = existing(args)
    if isinstance(found, JobDir):
        verb = found.description().words[0]
        raise UserError(
            f"{found.name} is a job of `{verb}`, not a run; it has status, logs, why and cancel, and the same command "
            "submitted again goes on where it ended"
        )
    return found


def existing(args: argparse.Namespace) -> RunDir | JobDir:
    """The run, else the job, that `add_run`'s arguments name.

    Raises:
        UserError: there is neither.
    """
    from pathlib import Path

    from dual_hpc.config.paths import default_store
    from dual_hpc.errors import UserError
    from launch.commands.job_dir import find_job
    from launch.runs.plan import find_run

    store = Path(args.store) if args.store else default_store()
    try:
        return find_run(args.run_name, args.store)
    except UserError:
        job = find_job(args.run_name, store)
        if job is not None:
            return job
        if existing_sweep(args) is not None:
            raise UserError(
                f"{args.run_name} is a sweep: `dual-hpc sweep --show {args.run_name}` names its members, "
                "stop and cancel end all of them"
            ) from None
        raise


def existing_sweep(args: argparse.Namespace) -> SweepDir | None:
    """The sweep that `add_run`'s arguments name; None where they name a run, or nothing."""
    from pathlib import Path

    from dual_hpc.config.paths import default_store, runs_dir
    from dual_hpc.errors import UserError
    from dual_hpc.run import names
    from launch.sweeps.grid import SweepDir

    store = Path(args.store or default_store()).absolute()
    if (runs_dir(store) / args.run_name / names.IDENTITY).exists():
        return None
    try:
        return SweepDir.open(store, args.run_name)
    except UserError:
        return None
