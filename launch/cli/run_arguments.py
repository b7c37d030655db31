"""The arguments by which `train` and `submit` name a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
