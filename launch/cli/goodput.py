"""`dual-hpc goodput RUN`: what the hours of all jobs of a run were used for, and a picture of its life."""

from __future__ import annotations

import argparse

EXAMPLES = """\
examples:
  dual-hpc goodput trial-2
  dual-hpc goodput trial-2 --picture life.png      # its jobs over time, saves and failures; .svg and .pdf as well
  dual-hpc goodput trial-2 --json                  # {"unit": "GPU-hours", "hours": {"useful": ...}, "shares": ...}

The shares are of all hours, those in the queue included; together they are 100. A job has its nodes from the moment
that Slurm gave them to it until it ends; of a job that was killed, until its last sign of life.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_name", metavar="RUN", help="the run: its name, or its folder")
    parser.add_argument("--store", metavar="DIR", help="where RUN is looked up (default: DUAL_STORE, see `runs`)")
    parser.add_argument("--picture", metavar="FILE", help="write its life as a picture: .png, .svg or .pdf")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    import time
    from pathlib import Path

    from dual_hpc.errors import EnvironmentFault, UserError
    from dual_hpc.printable import json_line
    from dual_hpc.run import journal
    from dual_hpc.run.goodput import NAMES, goodput, timeline_of
    from launch.cluster.slurm import LOOK_PATIENCE, Scheduler
    from launch.cluster.state import State
    from launch.runs.plan import find_run
    from launch.runs.status import run_statuses
    from launch.runs.summary import used_by

    picture = Path(args.picture) if args.picture else None
    if picture is not None and picture.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"--picture {picture}: the name must end in .png, .svg or .pdf")
    found, now = find_run(args.run_name, args.store), time.time()
    scheduler = Scheduler(patience=LOOK_PATIENCE)
    status = run_statuses([found], scheduler, now, tolerant=True)[0]
    entries = journal.read(found.journal)
    slices = timeline_of(found, now if status.state is State.RUNNING else None, entries)
    sums, used = goodput(slices), used_by(found, scheduler)
    shares = sums.shares()
    if args.json:
        sacct = {"gpu_hours": used.gpu_seconds / 3600, "core_hours": used.core_seconds / 3600} if used.seconds else None
        print(json_line({"unit": sums.unit, "held": sums.held, "goodput": sums.useful, "hours": sums.hours,
                         "shares": shares, "sacct": sacct}))  # fmt: skip
    else:
        for kind, hours in sums.hours.items():
            print(f"{NAMES[kind]:17} {hours:10.3f} {sums.unit}  {shares[kind]:5.1f} %")
        print(sums.sentence() or f"no job of {found.path.name} has begun yet")
        if used.seconds:
            print(f"Slurm's accounts: {used}")
    if picture is not None:
        from dual_hpc.tracking.life import run_life

        try:
            run_life(slices, entries, found.path.name).savefig(picture)
        except OSError as error:
            raise EnvironmentFault(f"--picture {picture} cannot be written: {error.strerror}") from error
    return 0
