"""`dual-hpc sweep`: runs that differ in a few settings, as one job array; the table of their scores; resubmission."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from launch.cli.run_arguments import add_run_arguments, configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launch.cluster.profiles import Profile
    from launch.runs.plan import PlannedRun
    from launch.sweeps.grid import SweepDir
    from launch.sweeps.results import Row

EXAMPLES = """\
examples:
  dual-hpc sweep --preset iemocap4 --profile jean-zay-a100 launch.account=abc@a100 name=cv --grid folds=all
  dual-hpc sweep --preset iemocap4 --profile dev name=study --grid optim.lr=1e-4,3e-4 --grid seeds=0..4 --parallel 4
  dual-hpc sweep --preset iemocap4 name=two --member "optim.lr=1e-4 seed=1" --member "optim.lr=3e-4 seed=2"
  dual-hpc sweep --preset demo name=try --grid seeds=0..2          # the local profile: one after the other, here
  dual-hpc sweep --show cv             # one row per member; mean, deviation and number of those that finished
  dual-hpc sweep --evaluate cv         # the test scores of the finished members, then the table
  dual-hpc sweep --resubmit cv         # those that neither finished nor wait or run
  dual-hpc sweep --resubmit cv launch.hours=40 --new-code
  dual-hpc sweep --change cv --parallel 12

Members that differ only in fold and seed are repetitions of one experiment. The table is also written to
STORE/sweeps/NAME/table.md and table.json, and logged to the sweep's own run in MLflow.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser, existing=False)
    parser.add_argument("--profile", metavar="NAME|FILE", help="cluster profile; the same as launch.profile=NAME")
    parser.add_argument(
        "--grid", action="append", default=[], metavar="KEY=A,B", help="an axis of the grid (repeatable)"
    )
    parser.add_argument("--member", action="append", default=[], metavar="'KEY=A ...'", help="one member of a list")
    parser.add_argument(
        "--parallel", type=int, metavar="N", help="members that run at a time (default 8; on this machine 1)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the sbatch file and the members; submit nothing")
    parser.add_argument("--clean", action="store_true", help="refuse to submit code that is not committed")
    parser.add_argument("--store", metavar="DIR", help="where NAME is looked up (default: DUAL_STORE)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--show", metavar="NAME", help="print the table of a sweep's scores")
    which.add_argument("--evaluate", metavar="NAME", help="score finished members here, then print the table")
    which.add_argument("--change", metavar="NAME", help="with --parallel N: how many members run at a time from now on")
    which.add_argument("--resubmit", metavar="NAME", help="submit the members that failed or stopped again")
    parser.add_argument("--new-code", action="store_true", help="with --resubmit: use the current code")
    parser.add_argument("--json", action="store_true", help="print the table, or what was submitted, as JSON")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError
    from launch.cluster.code_archive import refuse_changes

    if args.parallel is not None and args.parallel < 1:
        raise UserError(f"--parallel={args.parallel}: at least one member must run")
    if args.show or args.evaluate or args.resubmit or args.change:
        return existing(args)
    if args.run:
        raise UserError("--run: a sweep makes new runs; give --preset or --config")
    if args.new_code:
        raise UserError("--new-code is for --resubmit; a new sweep uses the current code")
    if args.store:
        raise UserError("--store is for --show, --evaluate and --resubmit; for a new sweep write store=DIR")
    if args.clean:
        refuse_changes()
    return submit_new(args)


def existing(args: argparse.Namespace) -> int:
    """`--show`, `--evaluate`, `--resubmit`: a sweep that exists."""
    from pathlib import Path

    from dual_hpc.config.paths import default_store
    from dual_hpc.errors import UserError
    from launch.cluster.code_archive import refuse_changes
    from launch.sweeps.control import change_parallel
    from launch.sweeps.grid import SweepDir

    what = next(f"--{word}" for word in ("show", "evaluate", "resubmit", "change") if getattr(args, word))
    refused = [*args.grid, *args.member, *args.shards, args.preset, args.config, args.run, args.dry_run and "--dry-run"]
    if what != "--resubmit":
        refused += [*args.overrides, args.profile, args.new_code and "--new-code", args.clean and "--clean"]
    if what in ("--show", "--evaluate"):
        refused.append(args.parallel is not None and f"--parallel {args.parallel}")
    if any(refused):
        raise UserError(f"{what} takes an existing sweep, without {next(filter(None, refused))}")
    store = Path(args.store).absolute() if args.store else default_store().absolute()
    sweep = SweepDir.open(store, args.show or args.evaluate or args.resubmit or args.change)
    if args.resubmit:
        if args.clean:
            refuse_changes()
        return resubmit(sweep, args)
    if args.change:
        if args.parallel is None:
            raise UserError("--change: write --parallel N as well")
        print(change_parallel(sweep, args.parallel))
        return 0
    if args.evaluate:
        evaluate(sweep, args.trust)
    return show(sweep, args.json)


def submit_new(args: argparse.Namespace) -> int:
    """Plan every member, check all of them, then submit."""
    from launch.cli.targets import find_jobs_to_wait_for
    from launch.cluster.profiles import load_profile
    from launch.sweeps.parent_run import PARENT_TAG, SWEEP_TAG, delete_parent_run, make_parent_run, tags_of
    from launch.sweeps.plan import config_of, plan_sweep
    from launch.sweeps.submit import check_members

    source, layers = configuration(args)
    overrides = [*layers, *args.overrides, *([f"launch.profile={args.profile}"] if args.profile else [])]
    sweep, plans = plan_sweep(source, overrides, args.shards, args.grid, args.member)
    config = plans[0].config
    for plan in plans:
        find_jobs_to_wait_for(plan.config)
    profile = load_profile(config.launch.profile)
    if args.dry_run:
        return dry_run(sweep, plans, profile, args)
    check_members(plans, profile)
    parent = make_parent_run(config, sweep) if config.tracking.enabled else None
    try:
        for plan, member in zip(plans, sweep.sweep.members, strict=True):
            tags = {SWEEP_TAG: sweep.sweep.name, **tags_of(member)}
            plan.config.tracking.tags |= tags | ({PARENT_TAG: parent} if parent else {})
        return submit(sweep, plans, profile, args)
    except BaseException:
        # A sweep of this name may have come into being meanwhile, with a parent of its own.
        made = config_of(sweep)
        if parent is not None and (made is None or made.tracking.tags.get(PARENT_TAG) != parent):
            delete_parent_run(config, parent)
        raise


def dry_run(sweep: SweepDir, plans: Sequence[PlannedRun], profile: Profile, args: argparse.Namespace) -> int:
    """The sbatch file on standard output; on standard error the members, and what they may cost."""
    import shlex
    import sys

    from launch.cluster.request import check, check_array, cost_estimate
    from launch.cluster.sbatch import sbatch_text
    from launch.records.submissions import continuations_allowed

    request = plans[0].config.launch
    check(request, profile)
    check_array(len(plans), request, profile)
    parallel = args.parallel or default_parallel(profile)
    if profile.executor == "slurm":
        print(sbatch_text(profile, request, sweep.path, sys.executable, len(plans), parallel), end="")
    for member in sweep.sweep.members:
        print(f"# {member.name}: {shlex.join(member.overrides)}", file=sys.stderr)
    price = cost_estimate(request, profile, len(plans), continuations_allowed(request))
    print(f"# {len(plans)} runs, {parallel} at a time; {price}", file=sys.stderr)
    return 0


def default_parallel(profile: Profile) -> int:
    """Members at a time, unless --parallel is given."""
    return 8 if profile.executor == "slurm" else 1


def submit(sweep: SweepDir, plans: Sequence[PlannedRun], profile: Profile, args: argparse.Namespace) -> int:
    """As an array of Slurm; on this machine to the end, with the table."""
    import sys

    from dual_hpc.printable import json_line
    from launch.sweeps.submit import run_locally, submit_array

    parallel = args.parallel or default_parallel(profile)
    if profile.executor == "slurm":
        jobs = submit_array(sweep, plans, profile, parallel, args.new_code, args.trust)
        if args.json:
            submitted = dict(zip((plan.path.name for plan in plans), jobs, strict=True))
            print(json_line({"sweep": sweep.sweep.name, "path": str(sweep.path), "jobs": submitted}))
            return 0
        print(f"sweep {sweep.path}\njobs {jobs[0]}{f' to {jobs[-1]}' if len(jobs) > 1 else ''} ({profile.name})")
        name = sweep.sweep.name
        then = f"`dual-hpc submit -- sweep --evaluate {name}` scores it when it has finished"
        print(f"next: `dual-hpc watch {name}` shows it live; {then}", file=sys.stderr)
        return 0
    print(f"sweep {sweep.path}", file=sys.stderr, flush=True)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    run_locally(sweep, plans, profile, parallel, say, args.new_code, args.trust)
    return show(sweep, args.json, must_finish=True)


def resubmit(sweep: SweepDir, args: argparse.Namespace) -> int:
    """The members that neither finished nor have a job."""
    from dual_hpc.errors import UserError
    from launch.cluster.state import State
    from launch.sweeps.plan import idle_members, plan_again
    from launch.sweeps.results import rows_of

    idle, active = idle_members(sweep)
    if args.new_code and active:
        raise UserError(f"--new-code: {active[0]} still waits or runs, and would get it too; wait for it, or cancel it")
    if not idle:
        left = [row.name for row in rows_of(sweep) if row.state is not State.FINISHED]
        print(f"nothing to submit: {'every member has finished' if not left else f'{len(left)} still wait or run'}")
        return 0
    overrides = [*args.overrides, *([f"launch.profile={args.profile}"] if args.profile else [])]
    code = 0
    for plans, profile in plan_again(sweep, idle, overrides):
        code = max(code, submit(sweep, plans, profile, args))
    return code


def evaluate(sweep: SweepDir, trust: bool = False) -> None:
    """Score the finished members that have no test report yet."""
    import sys

    from dual_hpc.evaluation.run import evaluate_run
    from launch.cli.evaluate import track
    from launch.runs.report_place import report_folder
    from launch.sweeps.results import UNSCORED, incomplete, rows_of

    left = incomplete(rows_of(sweep))
    unscored = [run for run in sweep.runs() if left.get(run.path.name) == UNSCORED]
    for run in unscored:
        report_folder(run)
    for run in unscored:
        print(f"{run.path.name}: evaluating", file=sys.stderr, flush=True)
        evaluate_run(run.path, trust=trust)
        if run.config().tracking.enabled:
            track(run)


def show(sweep: SweepDir, as_json: bool, must_finish: bool = False) -> int:
    """The table, also to its files and to MLflow's parent run.

    Args:
        must_finish: a member that has not finished makes it exit code 1.
    """
    import sys

    from dual_hpc.printable import json_line
    from launch.cli.terminal import print_table
    from launch.cluster.state import State
    from launch.sweeps import report
    from launch.sweeps.results import rows_of

    rows = rows_of(sweep)
    save_table(sweep, rows)
    code = 1 if must_finish and any(row.state is not State.FINISHED for row in rows) else 0
    if as_json:
        print(json_line(report.as_json(sweep.sweep.name, rows)))
        return code
    print_table(report.table(rows))
    for line in report.missing_lines(rows, sweep.sweep.name):
        print(line, file=sys.stderr)
    return code


def save_table(sweep: SweepDir, rows: Sequence[Row]) -> None:
    """Write the table, but for a colleague's; a full store, or an MLflow that cannot be reached, costs a warning."""
    import sys

    from dual_hpc.errors import reason_of
    from dual_hpc.files.ownership import is_others, is_writable
    from launch.sweeps import report
    from launch.sweeps.parent_run import log_to_mlflow
    from launch.sweeps.plan import config_of

    if is_others(sweep.path) and not is_writable(sweep.path):
        return
    try:
        report.write(sweep, rows)
        config = config_of(sweep)
        if config is not None and config.tracking.enabled:
            log_to_mlflow(config, sweep, rows, (report.MARKDOWN, report.JSON, report.FIGURE))
    except Exception as error:  # MLflow's clients raise what they like
        reason = reason_of(error)
        print(f"dual-hpc: warning: the table was not saved, or MLflow not updated: {reason}", file=sys.stderr)
