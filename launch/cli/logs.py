"""`dual-hpc logs RUN`: what a rank wrote, to its end or as it comes."""

from __future__ import annotations

import argparse

from launch.cli.run_arguments import add_run, existing_run

EXAMPLES = """\
examples:
  dual-hpc logs trial-2                # the end of rank 0's log
  dual-hpc logs trial-2 --rank 3 -n 100
  dual-hpc logs trial-2 -f             # until the run's job ends, or Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--rank", type=int, default=0, metavar="R", help="default 0")
    parser.add_argument("-n", "--lines", type=int, default=40, metavar="N", help="lines from the end (default 40)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")


def run(args: argparse.Namespace) -> int:
    import sys
    import time

    from dual_hpc.errors import UserError
    from launch.evidence import tail
    from launch.scheduler import WATCHER_SECONDS, Scheduler
    from launch.standing import standings

    found = existing_run(args)
    log = found.logs / f"rank_{args.rank:04d}.log"
    if not log.exists() and not args.follow:
        ranks = len(list(found.logs.glob("rank_*.log")))
        raise UserError(
            f"--rank {args.rank}: {found.path.name} has logs of {ranks} ranks"
            if ranks
            else f"{found.path.name} has no logs yet; `dual-hpc status {found.path.name}` says where it stands"
        )
    position = log.stat().st_size if log.exists() else 0
    for line in tail(log, args.lines):
        print(line)
    scheduler = Scheduler(WATCHER_SECONDS)
    while args.follow:
        active = standings([found], scheduler, time.time(), tolerant=True)[0].active
        if log.exists() and log.stat().st_size > position:
            with open(log, "rb") as file:
                file.seek(position)
                sys.stdout.write(file.read().decode(errors="replace"))
                position = file.tell()
            sys.stdout.flush()
        if not active:
            break
        time.sleep(1)
    return 0
