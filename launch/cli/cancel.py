"""`dual-hpc cancel NAME`: end its job at once."""

from __future__ import annotations

import argparse

from launch.cli.targets import add_target, target

EXAMPLES = """\
examples:
  dual-hpc cancel trial-2              # what was done since the last checkpoint is lost; `stop` saves first
  dual-hpc resume trial-2              # later
  dual-hpc cancel cv                   # all members of a sweep
  dual-hpc cancel pack-1               # all tasks of a job of `dual-hpc submit ... -- pack ...`
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)


def run(args: argparse.Namespace) -> int:
    print(*target(args).cancel(), sep="\n")
    return 0
