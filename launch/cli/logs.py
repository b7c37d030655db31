"""`dual-hpc logs NAME`: what a rank of a run, or a task of a job, wrote; to its end or as it comes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from launch.cli.targets import add_target, target

if TYPE_CHECKING:
    from pathlib import Path

    from launch.runs.target import Target

EXAMPLES = """\
examples:
  dual-hpc logs trial-2                # the end of rank 0's log
  dual-hpc logs trial-2 --rank 3 -n 100
  dual-hpc logs trial-2 --rank all     # of every rank, in the order of time, each line with its rank
  dual-hpc logs trial-2 -f             # until the run's job ends, or Ctrl-C
  dual-hpc logs cv.seed-1              # a member of the sweep cv
  dual-hpc logs pack-1 --rank 2        # task 2 of a job of `dual-hpc submit ... -- pack ...`
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument(
        "--rank", default="0", metavar="R", help="the rank of a run, or the task of a job (default 0), or all"
    )
    parser.add_argument("-n", "--lines", type=int, default=40, metavar="N", help="lines from the end (default 40)")
    parser.add_argument("-f", "--follow", action="store_true", help="then print what is written from now on")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError
    from launch.records.job_output import tail

    if (args.rank != "all" and not args.rank.isdecimal()) or args.lines < 0:
        raise UserError("--rank, --lines: must be 0 or more, or --rank all")
    found = target(args)
    if args.rank == "all":
        print_all(found, args.lines, args.follow)
        return 0
    log = found.log(int(args.rank))
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


def print_all(found: Target, count: int, follows: bool) -> None:
    """The last `count` lines of all ranks together, each with its rank; then what comes, as it comes."""
    import time

    from dual_hpc.errors import UserError
    from launch.records.job_output import tail
    from launch.records.merged_logs import Log, merged

    first = found.log(0)
    numbers = first.numbers()
    if not numbers:
        raise UserError(f"{found.name} has no logs yet; `dual-hpc status {found.name}` shows its state")
    paths = {number: found.log(number).path() for number in numbers}
    sizes = {number: path.stat().st_size for number, path in paths.items()}
    logs = {n: Log(tail(path, count), path.stat().st_mtime) for n, path in paths.items()}
    width = len(str(numbers[-1]))
    for rank, line in merged(logs)[-count:] if count else ():
        print(f"{rank:{width}}  {line}")
    while follows:
        still_active = first.active()
        for rank, path in paths.items():
            for line in added(path, sizes, rank):
                print(f"{rank:{width}}  {line}", flush=True)
        if not still_active:
            return
        time.sleep(1)


def added(path: Path, sizes: dict[int, int], rank: int) -> list[str]:
    """The whole lines that a log has got since `sizes`, which is brought up to them."""
    from dual_hpc.files.regular_file import open_regular

    size = path.stat().st_size
    if size < sizes[rank]:  # another file of this name
        sizes[rank] = 0
    with open_regular(path) as file:
        file.seek(sizes[rank])
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    sizes[rank] += len(whole)
    return whole.decode(errors="replace").splitlines()


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
