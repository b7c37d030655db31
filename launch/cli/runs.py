"""`dual-hpc runs`: one line per run of a store, and per job of another verb."""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from dual_hpc.durations import duration
from dual_hpc.evaluation.score_text import FIRST_KEY, score_number
from dual_hpc.printable import printable
from launch.cli.runs_selection import ORDERS, parse_states, select_runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from launch.commands.status import CommandStatus
    from launch.runs.summary import RunSummary

EXAMPLES = """\
examples:
  dual-hpc runs
  dual-hpc runs --store $SCRATCH/dual_hpc
  dual-hpc runs --state running,queued --sort last --limit 20
  dual-hpc runs 'cv.*' --sort test                 # the best first, by UA {A,V} on the test split
  dual-hpc runs --json | jq -r 'select(.state == "failed") | .name'

Scores are in percent: "best" is the best score that selects the weights (UA {A,V} on validation, unless it says
another), "test UA" that of `dual-hpc evaluate`. Columns that a narrow terminal has no room for are left out; --json has
all of it, scores as shares of one.

With --json, a run has "kind": "run", a job of `submit -- VERB` "kind": "job", and the folder of one whose files cannot
be read "kind": "unreadable" with the "reason". "state" is the word that `status`
and `why` show as well; "slurm_state" is Slurm's own word for the run's newest job.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", metavar="NAME", help="only runs of this name; * and ? stand for others")
    parser.add_argument("--state", metavar="A,B", help="only runs in these states, as `status` calls them")
    parser.add_argument("--sort", choices=ORDERS, help="default: oldest first")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N of --sort; without it, the newest N")
    parser.add_argument("--store", metavar="DIR", help="default: $DUAL_STORE, else a folder in $SCRATCH or $WORK")
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead of a table")


def run(args: argparse.Namespace) -> int:
    import dataclasses
    import sys
    import time
    from pathlib import Path

    from dual_hpc.config.paths import default_store
    from dual_hpc.errors import UserError
    from dual_hpc.printable import json_line
    from launch.cli.store_listing import list_store
    from launch.cli.terminal import print_table
    from launch.cluster.slurm import LOOK_PATIENCE, Scheduler

    store = Path(args.store) if args.store else default_store()
    states = parse_states(args.state)
    if args.limit is not None and args.limit < 1:
        raise UserError(f"--limit {args.limit}: at least one run must be shown")
    if store.exists() and not store.is_dir():
        raise UserError(f"--store: {store} is not a folder")
    listing = list_store(store, Scheduler(interval=60, patience=LOOK_PATIENCE), time.time())
    rows, jobs = select_runs(listing.runs, args.pattern, states, args.sort, args.limit), listing.jobs
    if args.pattern or states or args.sort or args.limit:
        jobs = [job for job in jobs if (args.pattern is None or fnmatchcase(job.name, args.pattern))]
        jobs = [job for job in jobs if not states or job.state in states]
    for path, reason in listing.broken.items():
        print(f"dual-hpc: warning: {printable(path)} cannot be read: {reason}", file=sys.stderr)
    if args.json:
        for row in rows:
            print(json_line({"kind": "run", **dataclasses.asdict(row)}))
        for job in jobs:
            print(json_line({"kind": "job", **dataclasses.asdict(job)}))
        for path, reason in listing.broken.items():
            print(json_line({"kind": "unreadable", "name": path.name, "path": str(path), "reason": reason}))
        return 0
    if not rows and not jobs and not listing.broken:
        print(f"no runs in {store / 'runs'}" + (" that match" if listing.runs else ""))
        return 0
    if rows:
        print_table(table_of_runs(rows))
    if jobs:
        print_table(table_of_jobs(jobs))
    return 0


def table_of_runs(rows: Sequence[RunSummary], width: int | None = None) -> Table:
    """The runs; of the columns that the width has no room for, the least important are left out.

    Args:
        width: of the terminal; None: what there is.
    """
    from launch.cli.terminal import fitting_table

    cells = [
        {
            "run": printable(row.name),
            "state": row.state_text,
            "step": f"{row.step}/{row.total or '?'}",
            "epoch": "" if row.epoch is None else f"{row.epoch:.1f}",
            "best, %": row.best_text,
            "test UA, %": score(row),
            "left": "" if row.seconds_left is None else duration(row.seconds_left),
            "last update": "" if row.age_seconds is None else f"{duration(row.age_seconds)} ago",
            "job": printable(" ".join(filter(None, (row.job_id, row.slurm_state and row.slurm_state.lower())))),
            "loss": "" if row.loss is None else f"{row.loss:.3f}",
            "goodput": "" if row.goodput is None else f"{row.goodput:.0%}",
            "last UA {A,V,T}, %": score_number(FIRST_KEY, row.ua_avt),
            "elapsed": "" if row.elapsed_seconds is None else duration(row.elapsed_seconds),
            "speed": "" if row.samples_per_second is None else f"{row.samples_per_second:.3g}/s",
            "segments": str(row.segments),
        }
        for row in rows
    ]
    return fitting_table(cells, width)


def score(row: RunSummary) -> str:
    """ "64.3 [61.2, 67.1]": the test's UA without text in percent, with its 95 % interval."""
    if row.test_ua is None:
        return ""
    bounds = (
        ""
        if row.test_ua_interval is None
        else " [{}, {}]".format(*(score_number(FIRST_KEY, bound) for bound in row.test_ua_interval))
    )
    return f"{score_number(FIRST_KEY, row.test_ua)}{bounds}"


def table_of_jobs(jobs: Sequence[CommandStatus]) -> Table:
    from rich.table import Table

    from launch.cluster.state import State

    table = Table("job", "state", "tasks", "ids", "command", box=None)
    for job in jobs:
        ended = f"{job.tasks.count(State.FINISHED)}/{len(job.tasks)}"
        ids = job.job_ids[0] if len(job.job_ids) == 1 else f"{job.job_ids[0]} to {job.job_ids[-1]}"
        table.add_row(printable(job.name), job.state, ended, printable(ids), printable(job.command))
    return table
