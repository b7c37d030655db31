"""`dual-hpc why RUN`: what became of it, in one sentence, and what to do."""

from __future__ import annotations

import argparse

from launch.cli.run_arguments import add_run, existing

EXAMPLES = """\
examples:
  dual-hpc why trial-2
  dual-hpc why pack-1                  # a job of `dual-hpc submit ... -- pack ...`
  dual-hpc why trial-2 --json          # {"cause": "out of memory", "sentence": ..., "advice": ...}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, jobs=True)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    import dataclasses
    import json

    from launch.cluster.slurm import Scheduler
    from launch.commands.job_dir import JobDir
    from launch.commands.status import diagnose_command
    from launch.runs.diagnosis import diagnose
    from launch.runs.evidence import collect_evidence

    subject = existing(args)
    if isinstance(subject, JobDir):
        found = diagnose_command(subject, Scheduler())
    else:
        found = diagnose(collect_evidence(subject, Scheduler()))
    if args.json:
        print(json.dumps(dataclasses.asdict(found)))
        return 0
    print(f"{found.cause}: {found.sentence}")
    if found.advice:
        print(f"{found.advice}")
    return 0
