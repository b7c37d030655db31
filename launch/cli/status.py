"""`dual-hpc status RUN`: where one run, or one job of another verb, stands."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from launch.cli.run_arguments import add_run, existing

if TYPE_CHECKING:
    from dual_hpc.run.directory import RunDir
    from launch.commands.job_dir import JobDir

EXAMPLES = """\
examples:
  dual-hpc status trial-2
  dual-hpc status trial-2 --json       # {"name": "trial-2", "state": "running", "step": 120, ...}
  dual-hpc status pack-1               # a job of `dual-hpc submit ... -- pack ...`
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, jobs=True)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    import json

    from launch.commands.job_dir import JobDir

    found = existing(args)
    told, lines = of_job(found) if isinstance(found, JobDir) else of_run(found)
    if args.json:
        print(json.dumps(told))
        return 0
    for name, value in lines.items():
        if value:
            print(f"{name:9} {value}")
    return 0


def of_run(found: RunDir) -> tuple[dict[str, object], dict[str, str]]:
    """A run, as JSON and as lines."""
    import dataclasses
    import time

    from launch.cluster.slurm import Scheduler
    from launch.runs.status import run_statuses
    from launch.runs.summary import summarize

    now = time.time()
    row = summarize(found, run_statuses([found], Scheduler(), now, tolerant=True)[0], now)
    slurm = " ".join(filter(None, (row.slurm_state, row.slurm_reason and f"({row.slurm_reason})", row.nodes)))
    scores = {"loss": row.loss, "UA {A,V}": row.ua_av, "UA {A,V,T}": row.ua_avt}
    return dataclasses.asdict(row), {
        "run": row.path,
        "state": row.state,
        "step": f"{row.step} of {row.total}" if row.total else str(row.step),
        "last": "  ".join(f"{name} {value:.3f}" for name, value in scores.items() if value is not None),
        "job": f"{row.job_id or 'none'}  {slurm}".rstrip(),
        "segments": str(row.segments),
    }


def of_job(found: JobDir) -> tuple[dict[str, object], dict[str, str]]:
    """A job of another verb, as JSON and as lines."""
    import dataclasses

    from launch.cluster.slurm import Scheduler
    from launch.commands.status import command_statuses

    row = command_statuses([found], Scheduler())[0]
    tasks = (
        f"{job} {state}{f' (exit code {code})' if code else ''}"
        for job, state, code in zip(row.job_ids, row.tasks, row.exit_codes, strict=True)
    )
    return dataclasses.asdict(row), {
        "job": row.path,
        "state": row.state,
        "command": row.command,
        "tasks": ", ".join(tasks),
        "nodes": row.nodes,
    }
