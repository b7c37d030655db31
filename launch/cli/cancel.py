"""`dual-hpc cancel RUN`: end its job at once."""

from __future__ import annotations

import argparse

from launch.cli.run_arguments import add_run, existing_run

EXAMPLES = """\
examples:
  dual-hpc cancel trial-2
  dual-hpc resume trial-2              # later
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)


def run(args: argparse.Namespace) -> int:
    import time

    from launch.control import cancel
    from launch.scheduler import Scheduler
    from launch.standing import standings

    found = existing_run(args)
    print(cancel(found, standings([found], Scheduler(), time.time())[0]))
    return 0
