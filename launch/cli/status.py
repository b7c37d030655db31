"""`dual-hpc status NAME`: the state of one run, of a sweep and its members, or of one job of another verb."""

from __future__ import annotations

import argparse

from launch.cli.targets import add_target, target

EXAMPLES = """\
examples:
  dual-hpc status trial-2
  dual-hpc status cv                   # a sweep: one row per member, and how many are in each state
  dual-hpc status pack-1               # a job of `dual-hpc submit ... -- pack ...`
  dual-hpc status trial-2 --json       # {"kind": "run", "name": "trial-2", "state": "running", "step": 120, ...}

With --json, "kind" is run, sweep or job. "state" is the word that `runs` and `why` show: not submitted, submitted,
queued, running, suspended, ending, finished, stopped, cancelled, failed, user error, out of memory, out of time,
node failure, preempted, silent, lost, missing or unknown. "slurm_state" is Slurm's own word.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.printable import json_line
    from launch.cli.runs import table_of_runs
    from launch.cli.terminal import print_table

    report = target(args).status()
    if args.json:
        print(json_line(report.data))
        return 0
    for name, value in report.lines.items():
        if value:
            print(f"{name:9} {value}")
    if report.rows:
        print_table(table_of_runs(report.rows))
    return 0
