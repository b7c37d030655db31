"""`dual-hpc doctor`: a table of what works on this machine."""

from __future__ import annotations

import argparse

from launch.cli.plugin_argument import add_plugin_argument

EXAMPLES = """\
examples:
  dual-hpc doctor
  dual-hpc doctor --store $SCRATCH/dual_hpc
  dual-hpc doctor --profile jean-zay-v100
  dual-hpc doctor --json | jq -r 'select(.state == "missing") | .remedy'

Exit code 1 if something that dual-hpc needs is missing.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="DIR", help="default: $DUAL_STORE, else a folder in $SCRATCH or $WORK")
    parser.add_argument("--profile", metavar="NAME", help="fail unless torch has code for the GPUs of this cluster")
    add_plugin_argument(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead of a table")


def run(args: argparse.Namespace) -> int:
    import dataclasses
    import sys
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dual_hpc.config.paths import default_store
    from dual_hpc.printable import json_line, unwrapped
    from launch.cli.terminal import print_table
    from launch.cluster.profiles import load_profile
    from launch.doctor import Finding, run_checks

    if args.profile:
        load_profile(args.profile)
    store = Path(args.store) if args.store else default_store()
    findings: list[Finding] = []
    with Console(file=unwrapped(sys.stderr)).status("checking") as status:
        for finding in run_checks(store, args.profile):
            findings.append(finding)
            status.update(f"checked {finding.what}")
    code = 1 if any(finding.state == "missing" for finding in findings) else 0
    if args.json:
        for finding in findings:
            print(json_line(dataclasses.asdict(finding)))
        return code
    table = Table("", "what", "found", "remedy", box=None)
    colours = {"ok": "green", "note": "yellow", "missing": "red"}
    for finding in findings:
        table.add_row(Text(finding.state, colours[finding.state]), finding.what, finding.found, finding.remedy)
    print_table(table)
    return code
