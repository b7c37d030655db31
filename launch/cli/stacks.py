"""`dual-hpc stacks RUN`: where every thread of its ranks is just now."""

from __future__ import annotations

import argparse

EXAMPLES = """\
examples:
  dual-hpc stacks trial-2              # twice in a row: what does not move hangs

The stacks are also in the ranks' logs (`dual-hpc logs trial-2 --rank 3`). The training goes on. Where py-spy is
installed (`pip install py-spy`), C functions and the data workers are shown as well.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_name", metavar="RUN", help="a run that a job works on: its name, or its folder")
    parser.add_argument("--store", metavar="DIR", help="where RUN is looked up (default: DUAL_STORE, see `runs`)")


def run(args: argparse.Namespace) -> int:
    import time

    from dual_hpc.errors import EnvironmentFault
    from dual_hpc.printable import printable_lines
    from launch.cluster.slurm import Scheduler
    from launch.runs.plan import find_run
    from launch.runs.status import run_statuses
    from launch.runs.steps import collect_stacks

    found = find_run(args.run_name, args.store)
    (status,) = run_statuses([found], Scheduler(), time.time())
    stacks = collect_stacks(found, status)
    for log, text in stacks.items():
        print(f"== {log}\n{printable_lines(text).rstrip() or 'nothing: it may still start, or be of earlier code'}")
    if not any("most recent call first" in text for text in stacks.values()):
        raise EnvironmentFault(f"no rank of {found.path.name} printed its stacks; is its job of earlier code?")
    return 0
