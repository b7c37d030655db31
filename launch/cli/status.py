"""`dual-hpc status RUN`: where one run stands."""

from __future__ import annotations

import argparse

from launch.cli.run_arguments import add_run, existing_run

EXAMPLES = """\
examples:
  dual-hpc status trial-2
  dual-hpc status trial-2 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    import dataclasses
    import json
    import time

    from launch.overview import overview
    from launch.scheduler import Scheduler
    from launch.standing import standings

    found = existing_run(args)
    now = time.time()
    row = overview(found, standings([found], Scheduler(), now, tolerant=True)[0], now)
    if args.json:
        print(json.dumps(dataclasses.asdict(row)))
        return 0
    slurm = " ".join(filter(None, (row.slurm_state, row.slurm_reason and f"({row.slurm_reason})", row.nodes)))
    scores = {"loss": row.loss, "UA {A,V}": row.ua_av, "UA {A,V,T}": row.ua_avt}
    lines = {
        "run": row.path,
        "state": row.state,
        "step": f"{row.step} of {row.total}" if row.total else str(row.step),
        "last": "  ".join(f"{name} {value:.3f}" for name, value in scores.items() if value is not None),
        "job": f"{row.job_id or 'none'}  {slurm}".rstrip(),
        "segments": str(row.segments),
    }
    for name, value in lines.items():
        if value:
            print(f"{name:9} {value}")
    return 0
