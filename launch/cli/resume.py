"""`dual-hpc resume RUN`: a new job for a run, with the settings of the last one."""

from __future__ import annotations

import argparse
import sys

from launch.cli.run_arguments import add_run, add_trust, existing_run

EXAMPLES = """\
examples:
  dual-hpc resume trial-2
  dual-hpc resume trial-2 launch.hours=40 launch.qos=qos_gpu_h100-t4
  dual-hpc resume trial-2 --new-code   # with the code as it is now
  dual-hpc resume trial-2 training.epochs=60   # longer than it was planned, finished or not

The learning rate of a run that is made longer keeps its schedule to the step where it was to end, and then stays at its
final value (optim.final_lr_fraction of optim.lr): nothing that was trained is trained otherwise.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--new-code", action="store_true", help="use the current code instead of the run's own")
    add_trust(parser)
    parser.add_argument("--json", action="store_true", help="print what was submitted as one JSON object")
    what = "another job size, time or partition (launch.*), a setting that does not change results (as checkpoint.*), "
    what += "or more training.epochs"
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=what)


def run(args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError
    from dual_hpc.printable import json_line
    from launch.cli.ended import next_commands
    from launch.cli.targets import find_jobs_to_wait_for
    from launch.runs.plan import plan_resumption
    from launch.runs.prolong import prolongs
    from launch.runs.submit import submit

    found = existing_run(args)
    plan, profile = plan_resumption(found, args.overrides)
    if found.has_finished() and not prolongs(plan):
        raise UserError(
            f"{found.path.name} is finished; `dual-hpc evaluate {found.path.name}` scores it, `dual-hpc resume "
            f"{found.path.name} training.epochs=N` makes it longer"
        )
    find_jobs_to_wait_for(plan.config)
    job = submit(plan, profile, new_code=args.new_code, trust=args.trust)
    if args.json:
        print(json_line({"run": plan.path.name, "path": str(plan.path), "job_id": job.job_id, "profile": profile.name}))
    else:
        print(f"run {plan.path}\njob {job.job_id} ({profile.name})", flush=True)
        print(next_commands(plan.path.name), file=sys.stderr)
    return 0
