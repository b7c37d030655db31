"""`dual-hpc profile RUN`: a trace of some steps of a run that trains now, from chosen ranks."""

from __future__ import annotations

import argparse

EXAMPLES = """\
examples:
  dual-hpc profile trial-2                          # three steps of rank 0
  dual-hpc profile trial-2 --ranks 0,5 --steps 10

Each rank writes profiles/NUMBER/rank_RRRR.json.gz into the run directory, a trace that Perfetto and chrome://tracing
open; the training goes on, a little slower in these steps. `dual-hpc stacks RUN` shows where every thread is just now.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_name", metavar="RUN", help="a run that a job works on: its name, or its folder")
    parser.add_argument("--ranks", default="0", metavar="R,S", help="the ranks to trace (default 0)")
    parser.add_argument("--steps", type=int, default=3, metavar="N", help="steps of the trace, 1 to 1000 (default 3)")
    parser.add_argument("--wait", type=float, default=300.0, metavar="S", help="seconds to wait for it (default 300)")
    parser.add_argument("--store", metavar="DIR", help="where RUN is looked up (default: DUAL_STORE, see `runs`)")


def run(args: argparse.Namespace) -> int:
    import time

    from dual_hpc.errors import EnvironmentFault, UserError
    from dual_hpc.run.profile_request import ProfileRequest, trace_file, write_request
    from launch.cluster.slurm import Scheduler
    from launch.cluster.state import State
    from launch.runs.plan import find_run
    from launch.runs.status import run_statuses

    words = args.ranks.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise UserError(f"--ranks {args.ranks}: numbers with commas between them, as 0,5")
    if not 1 <= args.steps <= 1000:
        raise UserError(f"--steps {args.steps}: must be 1 to 1000")
    found = find_run(args.run_name, args.store)
    status = run_statuses([found], Scheduler(), time.time())[0]
    if status.state is not State.RUNNING or not status.active:
        raise UserError(f"no job of {found.path.name} runs ({status.state}); only a run that trains can be profiled")
    size = next((one.world_size for one in reversed(found.segments()) if one.event == "start"), None)
    ranks = tuple(sorted({int(word) for word in words}))
    if size is not None and ranks[-1] >= size:
        raise UserError(f"--ranks {args.ranks}: {found.path.name} has the ranks 0 to {size - 1}")
    request = ProfileRequest(ranks=ranks, steps=args.steps)
    try:
        write_request(found.path, request)
    except OSError as error:
        raise EnvironmentFault(f"{found.path} cannot be written: {error.strerror}") from error
    waiting, until = {rank: trace_file(found.path, request, rank) for rank in ranks}, time.monotonic() + args.wait
    while waiting and time.monotonic() < until:
        for rank in [rank for rank, file in waiting.items() if file.exists()]:
            print(waiting.pop(rank), flush=True)
        time.sleep(0.5)
    if waiting:
        missing = ", ".join(map(str, waiting))
        raise EnvironmentFault(
            f"no trace of rank(s) {missing} within {args.wait:.0f} s: its steps may take longer, and it is still asked "
            "for, or the code of the run is older"
        )
    return 0
