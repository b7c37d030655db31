"""`dual-hpc why NAME`: why a run, a sweep or a job waits, failed or stopped, in one sentence, and what to do."""

from __future__ import annotations

import argparse

from launch.cli.targets import add_target, target

EXAMPLES = """\
examples:
  dual-hpc why trial-2
  dual-hpc why cv                      # a sweep: the member that matters most
  dual-hpc why pack-1                  # a job of `dual-hpc submit ... -- pack ...`
  dual-hpc why trial-2 --json          # {"state": "out of memory", "cause": "out of memory", "sentence": ..., ...}

`dual-hpc diagnose` is the same. With --json, "state" is the word that `runs` and `status` show; "cause" is the same
word, or a finer one: "hang" of a run that runs or failed, "NaN" of a user error.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.printable import json_line

    found = target(args).diagnose()
    if args.json:
        print(json_line(found.as_json()))
        return 0
    print(f"{found.state}: {found.sentence}")
    if found.advice:
        print(found.advice)
    return 0
