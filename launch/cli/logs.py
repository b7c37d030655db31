"""`dual-hpc logs NAME`: what a rank of a run, or a task of a job, wrote; to its end or as it comes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from launch.cli.targets import add_target, target

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = """\
examples:
  dual-hpc logs trial-2                # the end of rank 0's log
  dual-hpc logs trial-2 --rank 3 -n 100
  dual-hpc logs trial-2 -f             # until the run's job ends, or Ctrl-C
  dual-hpc logs cv.seed-1              # a member of the sweep cv
  dual-hpc logs pack-1 --rank 2        # task 2 of a job of `dual-hpc submit ... -- pack ...`
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument(
        "--rank", type=int, default=0, metavar="R", help="the rank of a run, or the task of a job (default 0)"
    )
    parser.add_argument("-n", "--lines", type=int, default=40, metavar="N", help="lines from the end (default 40)")
    parser.add_argument("-f", "--follow", action="store_true", help="then print what is written from now on")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError
    from launch.records.job_output import tail

    if args.rank < 0 or args.lines < 0:
        raise UserError("--rank, --lines: must be 0 or more")
    found = target(args)
    log = found.log(args.rank)
    if not log.path().exists() and not (args.follow and log.active()):
        numbers = log.numbers()
        raise UserError(
            f"--rank {args.rank}: {found.name} has logs of {numbers[0]} to {numbers[-1]}"
            if numbers
            else f"{found.name} has no logs yet; `dual-hpc status {found.name}` shows its state"
        )
    position = log.path().stat().st_size if log.path().exists() else 0
    for line in tail(log.path(), args.lines) if args.lines else ():
        print(line)
    if args.follow:
        follow(log.path, position, log.active)
    return 0


def follow(log: Callable[[], Path], position: int, active: Callable[[], bool]) -> None:
    """Print what is written from `position` on, until no job writes to it any more."""
    import codecs
    import sys
    import time

    from dual_hpc.files.regular_file import open_regular

    decoder, path = codecs.getincrementaldecoder("utf-8")("replace"), log()
    while True:
        still_active = active()
        if log() != path:
            path, position = log(), 0
        if path.exists():
            size = path.stat().st_size
            if size < position:  # another file of this name
                position = 0
            if size > position:
                with open_regular(path) as file:
                    file.seek(position)
                    sys.stdout.write(decoder.decode(file.read()))
                    position = file.tell()
                sys.stdout.flush()
        if not still_active:
            return
        time.sleep(1)
