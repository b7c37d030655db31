"""`dual-hpc submit`: a job under the profile of a cluster, or a detached one on this machine."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from launch.cli.run_arguments import add_run_arguments, planned_run

if TYPE_CHECKING:
    from launch.profiles import Profile
    from launch.runs import PlannedRun

EXAMPLES = """\
examples:
  dual-hpc submit --preset iemocap4 --shards $SCRATCH/iemocap --profile jean-zay-a100 launch.account=abc@a100
  dual-hpc submit --preset iemocap4 --profile my-cluster.yaml launch.nodes=2 launch.ranks_per_node=8 --dry-run
  dual-hpc submit --preset demo --shards shards/iemocap --wait     # the local profile: processes on this machine
  dual-hpc submit --run trial-2                                    # continue a run in a new job
  dual-hpc submit --profile my-cluster.yaml --tasks 8 -- pack meld $DSDIR/MELD --out $SCRATCH/shards/meld

The request is checked against the profile (slurm/profiles/*.yaml) before anything is submitted.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--profile", metavar="NAME|FILE", help="cluster profile; the same as launch.profile=NAME")
    parser.add_argument("--wait", action="store_true", help="show the progress until the job ends")
    parser.add_argument("--dry-run", action="store_true", help="print what would be submitted, and submit nothing")
    parser.add_argument("--tasks", type=int, default=1, metavar="N", help="tasks that share a command behind --")
    parser.add_argument("--clean", action="store_true", help="refuse to submit code that is not committed")
    parser.add_argument("--new-code", action="store_true", help="with --run: pack the code anew")


def run(args: argparse.Namespace) -> int:
    from launch.follow import follow
    from launch.profiles import load_profile
    from launch.snapshot import refuse_changes
    from launch.submission import submit

    if args.clean:
        refuse_changes()
    if args.command:
        return run_command(args)
    plan = planned_run(args, *([f"launch.profile={args.profile}"] if args.profile else []))
    profile = load_profile(plan.config.launch.profile)
    if args.dry_run:
        return dry_run(plan, profile)
    job = submit(plan, profile, new_code=args.new_code)
    print(f"run {plan.path}\njob {job.job_id} ({profile.name})", flush=True)
    if args.wait:
        follow(plan.open(), job)
    return 0


def run_command(args: argparse.Namespace) -> int:
    """Submit `pack`, `extract` or `evaluate`."""
    import importlib

    from dual_hpc.config import load_config
    from dual_hpc.errors import UserError
    from launch.cli.main import build_parser
    from launch.command import check_command, submit_command
    from launch.profiles import load_profile

    if args.preset or args.config or args.run or args.shards:
        raise UserError("--preset, --config, --run and --shards are for training; a command behind -- has its own")
    config = load_config(None, [*args.overrides, *([f"launch.profile={args.profile}"] if args.profile else [])])
    profile = load_profile(config.launch.profile)
    check_command(args.command, args.tasks, config, profile)
    verb = args.command[0]
    build_parser(verb, importlib.import_module(f"launch.cli.{verb}")).parse_intermixed_args(args.command[1:])
    if args.dry_run:
        print(f"{args.tasks} tasks would run dual-hpc {' '.join(args.command)} on {profile.name}")
        return 0
    jobs, folder = submit_command(args.command, args.tasks, config, profile)
    print(f"logs {folder / 'logs'}\njobs {' '.join(jobs)} ({profile.name})")
    return 0


def dry_run(plan: PlannedRun, profile: Profile) -> int:
    """Print the sbatch file on standard output, and what it may cost on standard error."""
    from launch.request import check
    from launch.sbatch import sbatch_text

    request = plan.config.launch
    check(request, profile)
    if profile.executor == "local":
        print(f"{request.ranks_per_node} processes on this machine would train {plan.path}")
        return 0
    print(sbatch_text(profile, request, plan.path, sys.executable), end="")
    gpus = request.nodes * request.ranks_per_node if profile.has_gpus else 0
    print(f"# at most {gpus * request.hours:g} GPU-hours per job", file=sys.stderr)
    return 0
