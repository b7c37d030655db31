"""`dual-hpc submit`: a job under the profile of a cluster, or a detached one on this machine."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from launch.cli.run_arguments import add_run_arguments, planned_run, tell_absent

if TYPE_CHECKING:
    from dual_hpc.config.schema import RunConfig
    from launch.cluster.profiles import Profile
    from launch.runs.plan import PlannedRun

EXAMPLES = """\
examples:
  dual-hpc submit --preset iemocap4 --shards $SCRATCH/iemocap --profile jean-zay-a100 launch.account=abc@a100
  dual-hpc submit --preset iemocap4 --profile my-cluster.yaml launch.nodes=2 launch.ranks_per_node=8 --dry-run
  dual-hpc submit --preset demo --shards shards/iemocap --wait     # the local profile: processes on this machine
  dual-hpc submit --run trial-2                                    # continue a run in a new job
  dual-hpc submit --preset iemocap4 --profile my-cluster.yaml --then evaluate
  dual-hpc submit --profile my-cluster.yaml --tasks 8 -- pack meld $DSDIR/MELD --out $SCRATCH/shards/meld
  dual-hpc submit --profile jean-zay-v100 launch.account=abc@v100 launch.hours=1 -- evaluate trial-2
  dual-hpc submit --preset iemocap4 --profile my-cluster.yaml 'launch.after=[pack-1]' launch.memory=64G

After -- write pack, extract, evaluate or sweep --evaluate; status, logs, why and cancel take the name of such a job,
which is printed. The request is checked against the profile (slurm/profiles/*.yaml) before anything is submitted.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--profile", metavar="NAME|FILE", help="cluster profile; the same as launch.profile=NAME")
    parser.add_argument(
        "--wait", action="store_true", help="show the progress until the job ends; exit code 3 if it was stopped before"
    )
    parser.add_argument(
        "--then", choices=["evaluate"], help="also submit `evaluate RUN`, as a job of one rank that waits for the run"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be submitted, and submit nothing")
    parser.add_argument("--tasks", type=int, default=1, metavar="N", help="tasks that share the command after --")
    parser.add_argument("--clean", action="store_true", help="refuse to submit code that is not committed")
    parser.add_argument("--json", action="store_true", help="print what was submitted as one JSON object")
    parser.add_argument("--new-code", action="store_true", help="with --run: use the current code")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError
    from dual_hpc.printable import json_line
    from launch.cli.ended import next_commands, report_end, report_interruption
    from launch.cli.targets import find_jobs_to_wait_for
    from launch.cli.then_evaluate import check_then, submit_evaluation
    from launch.cluster.code_archive import refuse_changes
    from launch.cluster.profiles import load_profile
    from launch.runs.follow import follow
    from launch.runs.submit import submit

    if args.clean:
        refuse_changes()
    if args.command:
        return submit_verb(args)
    if args.tasks != 1:
        raise UserError("--tasks is for a command after --; training takes launch.nodes and launch.ranks_per_node")
    plan = planned_run(args, *([f"launch.profile={args.profile}"] if args.profile else []))
    profile = load_profile(plan.config.launch.profile)
    find_jobs_to_wait_for(plan.config)
    if args.then:
        check_then(plan, profile)
    if args.dry_run:
        return dry_run(plan, profile)
    job = submit(plan, profile, new_code=args.new_code, trust=args.trust)
    tell_absent(plan.config)
    if args.json:
        print(json_line({"run": plan.path.name, "path": str(plan.path), "job_id": job.job_id, "profile": profile.name}))
    else:
        print(f"run {plan.path}\njob {job.job_id} ({profile.name})", flush=True)
    if args.then:
        print(submit_evaluation(plan, profile, job.job_id), file=sys.stderr, flush=True)
    if args.wait:
        try:
            follow(plan.open(), job)
        except KeyboardInterrupt:
            report_interruption(plan.path, profile.executor == "local")
            raise
        return report_end(plan.path)
    if not args.json:
        print(next_commands(plan.path.name), file=sys.stderr)
    return 0


def submit_verb(args: argparse.Namespace) -> int:
    """Submit `pack`, `extract`, `evaluate` or `sweep --evaluate`."""
    import importlib
    from pathlib import Path

    from dual_hpc.config import load_config
    from dual_hpc.errors import UserError
    from dual_hpc.plugins import load_plugins
    from dual_hpc.printable import json_line
    from launch.cli.command_job import run_in_job
    from launch.cli.main import build_parser
    from launch.cli.targets import find_jobs_to_wait_for
    from launch.cluster.profiles import load_profile
    from launch.commands.submit import check_command, check_work, plugins_of, submit_command
    from launch.runs.submit import check_machine

    if args.preset or args.config or args.run or args.shards:
        raise UserError("--preset, --config, --run and --shards are for training; a command has its options after --")
    if args.wait or args.new_code or args.then:
        raise UserError("--wait, --then and --new-code are for training; `dual-hpc logs NAME -f` follows a command")
    refused = [word for word in args.overrides if not word.startswith(("launch.", "store="))]
    if refused:
        raise UserError(f"{refused[0]}: before -- write only launch.* and store=; settings of a verb come after it")
    config = load_config(None, [*args.overrides, *([f"launch.profile={args.profile}"] if args.profile else [])])
    profile = load_profile(config.launch.profile)
    find_jobs_to_wait_for(config)
    check_command(args.command, args.tasks, config, profile)
    verb = args.command[0]
    parser = build_parser(verb, importlib.import_module(f"launch.cli.{verb}"))
    parsed, store = parser.parse_intermixed_args(args.command[1:]), Path(config.store).absolute()
    load_plugins(getattr(parsed, "plugin", []))
    check_work(verb, parsed, store)
    if args.dry_run:
        return dry_run_command(args, config, profile)
    check_machine(profile)
    plugins = plugins_of(verb, parsed, store)
    jobs, job = submit_command(run_in_job, args.command, args.tasks, config, profile, plugins, args.trust)
    if args.json:
        print(json_line({"job": job.name, "path": str(job.path), "job_ids": jobs, "profile": profile.name}))
        return 0
    ids = jobs[0] if len(jobs) == 1 else f"{jobs[0]} to {jobs[-1]}"
    print(f"job {job.path}\nids {ids} ({profile.name}); `dual-hpc status {job.name}` shows its state")
    return 0


def dry_run(plan: PlannedRun, profile: Profile) -> int:
    """Print the sbatch file on standard output, and what it may cost on standard error."""
    from launch.cluster.request import check, check_precision, cost_estimate
    from launch.cluster.sbatch import sbatch_text
    from launch.records.submissions import continuations_allowed

    request = plan.config.launch
    check(request, profile)
    check_precision(plan.config, profile)
    if profile.executor == "local":
        print(f"{request.ranks_per_node} processes on this machine would train {plan.path}")
        return 0
    print(sbatch_text(profile, request, plan.path, sys.executable), end="")
    print(f"# {cost_estimate(request, profile, 1, continuations_allowed(request))}", file=sys.stderr)
    return 0


def dry_run_command(args: argparse.Namespace, config: RunConfig, profile: Profile) -> int:
    """The same for a command."""
    import shlex
    from pathlib import Path

    from launch.cluster.request import cost_estimate
    from launch.cluster.sbatch import sbatch_text

    folder = Path(config.store).absolute() / "jobs" / f"{args.command[0]}-N"
    print(sbatch_text(profile, config.launch, folder, sys.executable, args.tasks, args.tasks, continues=False), end="")
    print(f"# {args.tasks} task(s) of: dual-hpc {shlex.join(args.command)}", file=sys.stderr)
    print(f"# {cost_estimate(config.launch, profile, args.tasks)}", file=sys.stderr)
    return 0
