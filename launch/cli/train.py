"""`dual-hpc train`: train on this machine, in the foreground."""

from __future__ import annotations

import argparse

from launch.cli.run_arguments import add_run_arguments, planned_run, tell_absent

EXAMPLES = """\
examples:
  dual-hpc train --preset demo --shards shards/iemocap
  dual-hpc train --preset iemocap4 --shards $SCRATCH/iemocap training.zero_stage=2 launch.ranks_per_node=4
  dual-hpc train --config mine.yaml name=trial-2 optim.lr=1e-4
  dual-hpc train --run trial-2                 # continue an existing run

The same command again continues the run; another configuration needs another name=...
Ctrl-C saves a checkpoint and stops; Ctrl-C again kills. A training that was stopped otherwise, by `dual-hpc stop` or
the end of its hours, ends with exit code 3.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from launch.cli.ended import report_end, report_interruption
    from launch.runs.follow import follow
    from launch.runs.submit import submit_here

    plan = planned_run(args, "launch.profile=local")
    job = submit_here(plan, args.trust)
    print(f"run {plan.path}", flush=True)
    if job is not None:
        tell_absent(plan.config)
        try:
            follow(plan.open(), job)
        except KeyboardInterrupt:
            report_interruption(plan.path, local=True)
            raise
    return report_end(plan.path)
