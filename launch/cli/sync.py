"""`dual-hpc sync`: send what the run directories hold to MLflow, for clusters whose compute nodes have no network."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from launch.cli.run_arguments import add_trust

if TYPE_CHECKING:
    from dual_hpc.errors import DualError

EXAMPLES = """\
examples:
  dual-hpc sync trial-2
  dual-hpc sync                        # every run of the store
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="*", metavar="RUN", help="runs by name or folder (default: all of the store)")
    parser.add_argument("--store", metavar="DIR", help="default: $DUAL_STORE, else a folder in $SCRATCH or $WORK")
    add_trust(parser)


def run(args: argparse.Namespace) -> int:
    import sys
    from pathlib import Path

    from rich.console import Console
    from rich.progress import track

    from dual_hpc.config.paths import default_store, runs_dir
    from dual_hpc.errors import EnvironmentFault, UserError
    from dual_hpc.files.ownership import is_others, is_writable, owner
    from dual_hpc.plugins import find_plugins
    from dual_hpc.printable import unwrapped
    from dual_hpc.run import names
    from dual_hpc.run.directory import RunDir
    from dual_hpc.tracking.journal_readers import JournalReaders
    from dual_hpc.tracking.mlflow_sync import sync
    from launch.runs.plan import find_run
    from launch.runs.status import states_at_rest

    store = Path(args.store) if args.store else default_store()
    there = sorted(path.parent for path in runs_dir(store).glob(f"*/{names.IDENTITY}"))
    found = [find_run(name, args.store) for name in args.runs] if args.runs else [RunDir(path) for path in there]
    theirs = {run.path: owner(run.path) for run in found if is_others(run.path) and not is_writable(run.path)}
    if theirs and args.runs:
        path, whose = next(iter(theirs.items()))
        raise UserError(f"{path.name} is a run of {whose}, and cannot be written by you: only {whose} can sync it")
    if theirs:
        whose = ", ".join(sorted(set(theirs.values())))
        print(f"dual-hpc: note: runs of colleagues ({len(theirs)}) are left to them: {whose}", file=sys.stderr)
    found = [run for run in found if run.path not in theirs]
    failed: list[DualError] = []
    console = Console(file=unwrapped(sys.stderr))
    resting = states_at_rest(found)
    for one in track(found, "sync", console=console, disable=len(found) < 2 or not sys.stderr.isatty()):
        try:
            if args.trust:
                find_plugins(one.config().plugins, one.code, trust=True)
            sync(one, state=resting.get(one.path))
            JournalReaders(one, one.config().tracking.also).close()
        except Exception as error:  # MLflow's clients raise exceptions of any kind
            failed.append(_named(one.path.name, error))
            if len(found) > 1:
                print(f"dual-hpc: warning: {failed[-1]}", file=sys.stderr)
    done = len(found) - len(failed)
    print(f"{done} {'run is' if done == 1 else 'runs are'} up to date in MLflow")
    if not failed:
        return 0
    if len(found) == 1:
        raise failed[0]
    kind = EnvironmentFault if any(isinstance(error, EnvironmentFault) for error in failed) else UserError
    raise kind(f"{len(failed)} of {len(found)} runs are not up to date in MLflow, for the reasons above")


def _named(name: str, error: Exception) -> DualError:
    from dual_hpc.errors import EnvironmentFault, UserError, reason_of

    reason = reason_of(error)
    if isinstance(error, UserError):
        return UserError(f"{name}: {reason}")
    return EnvironmentFault(f"tracking.uri: MLflow was not updated for {name}: {reason}")
