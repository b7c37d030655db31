"""`dual-hpc logs RUN`: what a rank, or a task of a job, wrote; to its end or as it comes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from launch.cli.run_arguments import add_run, existing

if TYPE_CHECKING:
    from pathlib import Path

    from dual_hpc.run.directory import RunDir
    from launch.commands.job_dir import JobDir

EXAMPLES = """\
examples:
  dual-hpc logs trial-2                # the end of rank 0's log
  dual-hpc logs trial-2 --rank 3 -n 100
  dual-hpc logs trial-2 -f             # until the run's job ends, or Ctrl-C
  dual-hpc logs pack-1 --rank 2        # task 2 of a job of `dual-hpc submit ... -- pack ...`
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, jobs=True)
    parser.add_argument("--rank", type=int, default=0, metavar="R", help="of a run; the task of a job (default 0)")
    parser.add_argument("-n", "--lines", type=int, default=40, metavar="N", help="lines from the end (default 40)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError
    from launch.commands.job_dir import JobDir
    from launch.runs.evidence import tail

    if args.rank < 0 or args.lines < 0:
        raise UserError("--rank, --lines: not below 0")
    found = existing(args)
    log, active = of_job(found, args.rank) if isinstance(found, JobDir) else of_run(found, args.rank)
    if not log().exists() and not (args.follow and active()):
        numbers = sorted(int(path.stem.split("_")[1]) for path in found.logs.glob(f"{log().stem.split('_')[0]}_*.log"))
        raise UserError(
            f"--rank {args.rank}: {found.path.name} has logs of {numbers[0]} to {numbers[-1]}"
            if numbers
            else f"{found.path.name} has no logs yet; `dual-hpc status {found.path.name}` says where it stands"
        )
    position = log().stat().st_size if log().exists() else 0
    for line in tail(log(), args.lines) if args.lines else ():
        print(line)
    if args.follow:
        follow(log, position, active)
    return 0


def of_run(found: RunDir, rank: int) -> tuple[Callable[[], Path], Callable[[], bool]]:
    """Where a rank writes (what Slurm has of it, where it could not begin), and whether a job works on the run."""
    import time

    from dual_hpc.errors import EnvironmentFault
    from dual_hpc.run.names import rank_log
    from launch.cluster.slurm import WATCHER_SECONDS, Scheduler
    from launch.records import submissions
    from launch.runs.status import run_statuses
    from launch.runs.submit import is_finished

    scheduler = Scheduler(WATCHER_SECONDS)

    def active() -> bool:
        try:
            return run_statuses([found], scheduler, time.time())[0].active
        except EnvironmentFault:  # Slurm's controller restarts now and then
            return not is_finished(found.path)

    def log() -> Path:
        own = found.logs / rank_log(rank)
        slurm = found.logs / f"{submissions.last_job(submissions.read(found.path))}_{rank}_log.out"
        return slurm if slurm.exists() and not own.exists() else own

    return log, active


def of_job(found: JobDir, task: int) -> tuple[Callable[[], Path], Callable[[], bool]]:
    """Where a task writes, and whether it waits or runs."""
    from dual_hpc.errors import UserError
    from launch.cluster.slurm import WATCHER_SECONDS, Scheduler, available
    from launch.commands.status import UNDER_WAY, command_statuses

    scheduler = Scheduler(WATCHER_SECONDS)
    count = len(found.description().job_ids)
    if task >= count:
        raise UserError(f"--rank {task}: {found.name} has the tasks 0 to {count - 1}")

    def active() -> bool:
        state = command_statuses([found], scheduler)[0].tasks[task]
        return state in UNDER_WAY or (state == "submitted" and available())

    return lambda: found.log(task), active


def follow(log: Callable[[], Path], position: int, active: Callable[[], bool]) -> None:
    """Print what is written from `position` on, until nothing works on it any more."""
    import codecs
    import sys
    import time

    decoder, path = codecs.getincrementaldecoder("utf-8")("replace"), log()
    while True:
        goes_on = active()
        if log() != path:
            path, position = log(), 0
        if path.exists():
            size = path.stat().st_size
            if size < position:  # written anew
                position = 0
            if size > position:
                with open(path, "rb") as file:
                    file.seek(position)
                    sys.stdout.write(decoder.decode(file.read()))
                    position = file.tell()
                sys.stdout.flush()
        if not goes_on:
            return
        time.sleep(1)
