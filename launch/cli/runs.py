"""`dual-hpc runs`: one line per run of a store."""

from __future__ import annotations

import argparse

EXAMPLES = """\
examples:
  dual-hpc runs
  dual-hpc runs --store $SCRATCH/dual_hpc --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="DIR", help="default: $DUAL_STORE, else a folder in $SCRATCH or $WORK")
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead of a table")


def run(args: argparse.Namespace) -> int:
    import dataclasses
    import json
    import time
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from dual_hpc.config.paths import default_store, runs_dir
    from dual_hpc.tracking.run_dir import list_runs
    from launch.overview import overview
    from launch.scheduler import Scheduler
    from launch.standing import standings

    runs = runs_dir(Path(args.store) if args.store else default_store())
    found, now = list_runs(runs), time.time()
    rows = [overview(*pair, now) for pair in zip(found, standings(found, Scheduler(), now, tolerant=True), strict=True)]
    if args.json:
        for row in rows:
            print(json.dumps(dataclasses.asdict(row)))
        return 0
    if not rows:
        print(f"no runs in {runs}")
        return 0
    heading = ("run", "state", "step", "loss", "UA {A,V}", "UA {A,V,T}", "job", "segments", "last sign of life")
    table = Table(*heading, box=None)
    for row in rows:
        table.add_row(
            row.name,
            row.state,
            f"{row.step}/{row.total or '?'}",
            *("" if value is None else f"{value:.3f}" for value in (row.loss, row.ua_av, row.ua_avt)),
            " ".join(filter(None, (row.job_id, row.slurm_state and row.slurm_state.lower()))),
            str(row.segments),
            f"{_age(row.age_seconds)} ago",
        )
    console = Console()
    Console(width=None if console.is_terminal else 160).print(table)
    return 0


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
