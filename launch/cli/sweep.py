"""`dual-hpc sweep`: runs that differ in a few settings, as one job array; their table; the failed ones again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from launch.cli.run_arguments import add_run_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launch.profiles import Profile
    from launch.runs import PlannedRun
    from launch.sweep import Sweep, SweepDir

EXAMPLES = """\
examples:
  dual-hpc sweep --preset iemocap4 --profile jean-zay-a100 launch.account=abc@a100 name=cv --grid folds=all
  dual-hpc sweep --preset iemocap4 --profile dev name=study --grid optim.lr=1e-4,3e-4 --grid seeds=0..4 --parallel 4
  dual-hpc sweep --preset iemocap4 name=two --member "optim.lr=1e-4 seed=1" --member "optim.lr=3e-4 seed=2"
  dual-hpc sweep --show cv             # one row per member, mean and deviation of those that finished
  dual-hpc sweep --resubmit cv         # those that neither finished nor wait or run
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--profile", metavar="NAME|FILE", help="cluster profile; the same as launch.profile=NAME")
    parser.add_argument("--grid", action="append", default=[], metavar="KEY=A,B", help="an axis (repeat for several)")
    parser.add_argument("--member", action="append", default=[], metavar="'KEY=A ...'", help="one member of a list")
    parser.add_argument("--parallel", type=int, default=8, metavar="N", help="members that run at a time (default 8)")
    parser.add_argument("--dry-run", action="store_true", help="name the members, and submit nothing")
    parser.add_argument("--store", metavar="DIR", help="where --show and --resubmit look (default: DUAL_STORE)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--show", metavar="NAME", help="the table of a sweep")
    which.add_argument("--resubmit", metavar="NAME", help="submit the failed members of a sweep again")
    parser.add_argument("--json", action="store_true", help="--show as JSON")


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from dual_hpc.config.paths import default_store
    from dual_hpc.errors import UserError
    from launch.sweep import SweepDir

    store = Path(args.store).absolute() if args.store else default_store().absolute()
    if args.show:
        return show(SweepDir.open(store, args.show), args.json)
    if args.resubmit:
        return resubmit(SweepDir.open(store, args.resubmit), args.parallel)
    if args.run:
        raise UserError("--run: a sweep makes new runs; give --preset or --config")
    if args.parallel < 1:
        raise UserError(f"--parallel={args.parallel}: at least one member must run")
    return submit_new(args)


def submit_new(args: argparse.Namespace) -> int:
    """Plan every member, check all of them, then submit the array."""
    from pathlib import Path

    from dual_hpc.errors import UserError
    from launch.profiles import load_profile
    from launch.runs import plan_run
    from launch.sweep import SweepDir, folder, grid, listed
    from launch.sweep_jobs import PARENT_TAG, check_array, parent_run

    if args.grid and args.member:
        raise UserError("--grid and --member do not go together")
    overrides = [*args.overrides, *([f"launch.profile={args.profile}"] if args.profile else [])]
    base = plan_run(args.config or args.preset, None, overrides, args.shards)
    name = base.config.name
    sweep: Sweep = grid(name, args.grid) if args.grid else listed(name, [words.split() for words in args.member])
    profile = load_profile(base.config.launch.profile)
    source = args.config or args.preset
    plans = [
        plan_run(source, None, [*overrides, *member.overrides, f"name={member.name}"], args.shards)
        for member in sweep.members
    ]
    check_array(plans, profile)
    if args.dry_run:
        for member in sweep.members:
            print(f"{member.name}  {' '.join(member.overrides)}")
        return 0
    store = Path(base.config.store)
    if (folder(store, name) / "sweep.json").exists():
        raise UserError(
            f"name={name}: a sweep of this name stands in {store}; choose another, or use --resubmit {name}"
        )
    tags = {"dual.sweep": name}
    if base.config.tracking.enabled:
        tags[PARENT_TAG] = parent_run(base.config, name)
    for plan in plans:
        plan.config.tracking.tags |= tags
    return submit(SweepDir(folder(store, name), sweep), plans, profile, args.parallel)


def submit(sweep: SweepDir, plans: Sequence[PlannedRun], profile: Profile, parallel: int) -> int:
    """As an array of Slurm; on this machine one after the other."""
    if profile.executor == "slurm":
        from launch.sweep_jobs import submit_array

        jobs = submit_array(sweep, plans, profile, parallel)
        print(f"sweep {sweep.path}\njobs {jobs[0]} to {jobs[-1]} ({profile.name})")
        return 0
    from launch.follow import follow
    from launch.submission import submit as submit_one

    sweep.path.mkdir(parents=True, exist_ok=True)
    sweep.save()
    for plan in plans:
        print(f"run {plan.path}", flush=True)
        follow(plan.open(), submit_one(plan, profile))
    return 0


def resubmit(sweep: SweepDir, parallel: int) -> int:
    """The members that neither finished nor have a job."""
    import time

    from launch.runs import plan_resumption
    from launch.scheduler import Scheduler
    from launch.standing import FINISHED, standings

    runs = sweep.runs()
    seen = standings(runs, Scheduler(), time.time())
    left = [run for run, one in zip(runs, seen, strict=True) if one.state != FINISHED and not one.active]
    if not left:
        print("nothing to submit: every member has finished, waits or runs")
        return 0
    planned = [plan_resumption(run, []) for run in left]
    return submit(sweep, [plan for plan, _ in planned], planned[0][1], parallel)


def show(sweep: SweepDir, as_json: bool) -> int:
    """The table; MLflow's parent run hears of it too."""
    import dataclasses
    import json
    import sys

    from rich.console import Console

    from launch.gather import rows_of, summary, table
    from launch.sweep_jobs import conclude

    rows = rows_of(sweep)
    config = sweep.runs()[0].config()
    if config.tracking.enabled:
        try:
            conclude(config, sweep.sweep.name, rows)
        except Exception as error:  # a tracking server that cannot be reached does not spoil the table
            print(f"dual-hpc: warning: MLflow was not updated: {' '.join(str(error).split())[:200]}", file=sys.stderr)
    if as_json:
        scores = {name: {"mean": m, "std": s, "runs": n} for name, (m, s, n) in summary(rows).items()}
        print(json.dumps({"members": [dataclasses.asdict(row) for row in rows], "scores": scores}))
        return 0
    console = Console()
    Console(width=None if console.is_terminal else 160).print(table(rows))
    return 0
