"""What the commands of this folder share: how a task names its share of an array, and their entry as scripts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from dual_hpc.errors import DualError, UserError


def add_task_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of long work that several tasks may share."""
    parser.add_argument(
        "--array-index", type=int, default=0, metavar="N", help="this task's number, from 0, of --array-count"
    )
    parser.add_argument(
        "--array-count", type=int, default=1, metavar="N", help="tasks that fill the same folder (default 1)"
    )
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, help="a bar (default: on a terminal)")


def array_of(args: argparse.Namespace) -> tuple[int, int]:
    """(index, count) of this task.

    Raises:
        UserError: there is no such task.
    """
    if not 0 <= args.array_index < args.array_count <= 10_000:
        raise UserError(f"--array-index: {args.array_index} is not below --array-count {args.array_count}")
    return args.array_index, args.array_count


def run_script(
    name: str,
    what: str,
    examples: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int],
    argv: Sequence[str] | None,
) -> int:
    """Parse and run; a failure that the user or the machine can be blamed for is one line.

    Returns:
        The exit code: 0 done, 1 the machine's fault or damage found, 2 the user's to fix, 130 interrupted.
    """
    parser = argparse.ArgumentParser(
        prog=name, description=what, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    try:
        return run(parser.parse_intermixed_args(argv))
    except DualError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command continues", file=sys.stderr)
        return 130
