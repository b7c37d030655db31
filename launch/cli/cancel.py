"""`dual-hpc cancel RUN`: end its job at once."""

from __future__ import annotations

import argparse

from launch.cli.run_arguments import add_run, existing, existing_sweep

EXAMPLES = """\
examples:
  dual-hpc cancel trial-2              # what was done since the last checkpoint is lost; `stop` saves first
  dual-hpc resume trial-2              # later
  dual-hpc cancel cv                   # all members of a sweep
  dual-hpc cancel pack-1               # all tasks of a job of `dual-hpc submit ... -- pack ...`
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, jobs=True)


def run(args: argparse.Namespace) -> int:
    import time

    from launch.cluster.slurm import Scheduler
    from launch.commands.control import cancel_job
    from launch.commands.job_dir import JobDir
    from launch.runs.control import cancel
    from launch.runs.status import run_statuses
    from launch.sweeps.control import cancel_sweep

    if (sweep := existing_sweep(args)) is not None:
        print(*cancel_sweep(sweep), sep="\n")
        return 0
    found = existing(args)
    if isinstance(found, JobDir):
        print(cancel_job(found))
    else:
        print(cancel(found, run_statuses([found], Scheduler(), time.time())[0]))
    return 0
