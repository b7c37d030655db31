"""Arguments of `pack`, `extract` and `evaluate`: which of several tasks that share the work this one is."""

from __future__ import annotations

import argparse
from pathlib import Path

from dual_hpc.errors import UserError


def add_task_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of long work that several tasks may share."""
    parser.add_argument(
        "--array-index", type=int, default=0, metavar="N", help="this task's number, from 0, of --array-count"
    )
    parser.add_argument("--array-count", type=int, default=1, metavar="N", help="tasks that share the work (default 1)")
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, help="a bar (default: on a terminal)")


def share_done(array: tuple[int, int], out: Path) -> str:
    """What a task says that has done its share, when shards of others are missing: nothing is known of those tasks."""
    return (
        f"task {array[0]} (of 0 to {array[1] - 1}) has written its shards into {out}; those of other tasks are missing "
        "yet, and the last task writes the index"
    )


def array_of(args: argparse.Namespace) -> tuple[int, int]:
    """(index, count) of this task.

    Raises:
        UserError: there is no such task.
    """
    if not 0 <= args.array_index < args.array_count <= 10_000:
        raise UserError(f"--array-index: {args.array_index} is not below --array-count {args.array_count}")
    return args.array_index, args.array_count
