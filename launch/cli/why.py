"""`dual-hpc why RUN`: what became of it, in one sentence, and what to do."""

from __future__ import annotations

import argparse

from launch.cli.run_arguments import add_run, existing_run

EXAMPLES = """\
examples:
  dual-hpc why trial-2
  dual-hpc why trial-2 --json          # {"cause": "out of memory", "sentence": ..., "advice": ...}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    import dataclasses
    import json

    from launch.diagnosis import diagnose
    from launch.evidence import gather
    from launch.scheduler import Scheduler

    found = diagnose(gather(existing_run(args), Scheduler()))
    if args.json:
        print(json.dumps(dataclasses.asdict(found)))
        return 0
    print(f"{found.cause}: {found.sentence}")
    if found.advice:
        print(f"{found.advice}")
    return 0
