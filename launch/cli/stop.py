"""`dual-hpc stop NAME`: save a checkpoint and stop; the run does not continue by itself."""

from __future__ import annotations

import argparse

from launch.cli.targets import add_target, target

EXAMPLES = """\
examples:
  dual-hpc stop trial-2
  dual-hpc resume trial-2              # later
  dual-hpc stop cv                     # all members of a sweep; `dual-hpc sweep --resubmit cv` resumes them

A job that still waits is removed from the queue.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser, "a run or a sweep")


def run(args: argparse.Namespace) -> int:
    print(*target(args).stop(), sep="\n")
    return 0
