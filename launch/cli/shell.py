"""`dual-hpc shell RUN`: a shell on a node of its job."""

from __future__ import annotations

import argparse

EXAMPLES = """\
examples:
  dual-hpc shell trial-2
  dual-hpc shell trial-2 --node n2 -- nvidia-smi
  dual-hpc shell trial-2 -- py-spy top --pid 4711

It is a step of the run's own job: it shares its GPUs, cores and memory, and ends with it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_name", metavar="RUN", help="a run that a job of Slurm works on: its name, or its folder")
    parser.add_argument("--node", metavar="NAME", help="a node of the job (default: the first)")
    parser.add_argument("--store", metavar="DIR", help="where RUN is looked up (default: DUAL_STORE, see `runs`)")


def run(args: argparse.Namespace) -> int:
    import subprocess
    import time

    from launch.cluster.slurm import Scheduler
    from launch.runs.plan import find_run
    from launch.runs.status import run_statuses
    from launch.runs.steps import shell_command

    found = find_run(args.run_name, args.store)
    (status,) = run_statuses([found], Scheduler(), time.time())
    return subprocess.run(shell_command(found, status, args.node, args.command), check=False).returncode
