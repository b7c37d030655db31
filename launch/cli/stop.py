"""`dual-hpc stop RUN`: save, end, and do not go on."""

from __future__ import annotations

import argparse

from launch.cli.run_arguments import add_run, existing_run, existing_sweep

EXAMPLES = """\
examples:
  dual-hpc stop trial-2
  dual-hpc resume trial-2              # later
  dual-hpc stop cv                     # all members of a sweep; `dual-hpc sweep --resubmit cv` goes on
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)


def run(args: argparse.Namespace) -> int:
    import time

    from launch.cluster.slurm import Scheduler
    from launch.runs.control import stop
    from launch.runs.status import run_statuses
    from launch.sweeps.control import stop_sweep

    if (sweep := existing_sweep(args)) is not None:
        print(*stop_sweep(sweep), sep="\n")
        return 0
    found = existing_run(args)
    print(stop(found, run_statuses([found], Scheduler(), time.time())[0]))
    return 0
