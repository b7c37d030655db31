"""The arguments by which `train` and `submit` name a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dual_hpc.tracking.run_dir import RunDir
    from launch.runs import PlannedRun


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


def planned_run(args: argparse.Namespace, *further: str) -> PlannedRun:
    """The run that the parsed arguments mean; `further` overrides come last."""
    from launch.runs import plan_run

    return plan_run(args.config or args.preset, args.run, [*args.overrides, *further], args.shards)


def add_run(parser: argparse.ArgumentParser) -> None:
    """An existing run, by name or folder."""
    parser.add_argument("run_name", metavar="RUN", help="a run of the store by name, or its folder")
    parser.add_argument("--store", metavar="DIR", help="where RUN is looked up (default: DUAL_STORE, see `runs`)")


def existing_run(args: argparse.Namespace) -> RunDir:
    """The run that `add_run`'s arguments name."""
    from launch.runs import find_run

    return find_run(args.run_name, args.store)
