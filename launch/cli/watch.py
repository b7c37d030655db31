"""`dual-hpc watch NAME`: a run or a sweep, live in the terminal; lines where the output is no terminal."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from launch.cli.targets import add_target, target

if TYPE_CHECKING:
    from launch.runs.target import RunTarget
    from launch.sweeps.target import SweepTarget

EXAMPLES = """\
examples:
  dual-hpc watch trial-2               # q leaves; n and p show the log of the next and the previous rank
  dual-hpc watch cv                    # a sweep: one line per member; n and p scroll
  dual-hpc watch trial-2 | tee progress.txt        # a line whenever a step is logged, until no job works any more

Leaving does not touch the run. It needs no connection to the job, only its run directory, so it works over ssh.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser, "a run or a sweep")
    parser.add_argument("--every", type=float, default=2.0, metavar="S", help="seconds between two looks (default 2)")


def run(args: argparse.Namespace) -> int:
    import sys

    from dual_hpc.errors import UserError
    from launch.runs.target import RunTarget
    from launch.sweeps.target import SweepTarget

    if not args.every > 0:
        raise UserError(f"--every {args.every}: must be more than 0")
    found = target(args)
    if not isinstance(found, RunTarget | SweepTarget):
        raise UserError(f"{found.name} is a job of another verb; `dual-hpc logs -f {found.name}` follows it")
    if not sys.stdout.isatty() or not sys.stdin.isatty():
        print_lines(found, args.every)
        return 0
    screen = screen_of_run(found) if isinstance(found, RunTarget) else screen_of_sweep(found)
    show(screen, args.every)
    return 0


Screen = Callable[[int, int, int], list[str]]  # (place, width, height) -> lines; the place is what n and p change


def screen_of_run(found: RunTarget) -> Screen:
    from launch.runs.watch import RunWatcher
    from launch.runs.watch_screen import run_screen

    watcher = RunWatcher(found.run)
    return lambda place, width, height: run_screen(watcher.look(place), width, height)


def screen_of_sweep(found: SweepTarget) -> Screen:
    import time

    from launch.cluster.slurm import LOOK_PATIENCE, WATCHER_SECONDS, Scheduler
    from launch.runs.watch_screen import sweep_screen
    from launch.sweeps.status import member_summaries

    scheduler = Scheduler(WATCHER_SECONDS, patience=LOOK_PATIENCE)

    def lines(place: int, width: int, height: int) -> list[str]:
        rows = member_summaries(found.sweep, scheduler)
        first = min(place, max(0, len(rows) - 1))
        return sweep_screen(found.name, rows, first, width, height, time.time())

    return lines


def show(screen: Screen, every: float) -> None:
    """Draw until q, Ctrl-C or the end of the terminal; the screen from before comes back."""
    import os
    import select
    import sys
    import time

    from rich.console import Console
    from rich.text import Text

    from dual_hpc.printable import unwrapped

    console, place = Console(file=unwrapped(sys.stdout), highlight=False), 0
    with single_keys(), console.screen() as alternate:
        while True:
            width, height = console.size
            lines = screen(place, width, height)
            alternate.update(Text("\n".join(lines), no_wrap=True, overflow="crop"))
            until = time.monotonic() + every
            while (left := until - time.monotonic()) > 0 and console.size == (width, height):
                if not select.select([sys.stdin], [], [], min(left, 0.25))[0]:
                    continue
                keys = os.read(sys.stdin.fileno(), 64).decode(errors="replace")
                if not keys or set(keys) & set("qQ\x03\x04"):
                    return
                place = max(0, place + keys.count("n") - keys.count("p"))
                break


@contextmanager
def single_keys() -> Iterator[None]:
    """Keys arrive as they are pressed, and are not shown."""
    import sys
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    except KeyboardInterrupt:
        pass  # the usual way to leave
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def print_lines(found: RunTarget | SweepTarget, every: float) -> None:
    """A line for each run whose step or state has changed, until no job works on any of them."""
    import time

    from launch.runs.target import RunTarget
    from launch.runs.watch import RunWatcher
    from launch.runs.watch_screen import plain_line

    runs = [found.run] if isinstance(found, RunTarget) else [r for r in found.sweep.runs() if r.identity_file.exists()]
    watchers = [RunWatcher(run) for run in runs]
    said: dict[str, object] = {}
    while True:
        views = [watcher.look() for watcher in watchers]
        for view in views:
            if said.get(view.name) != (view.state, view.step, view.bottleneck):
                said[view.name] = (view.state, view.step, view.bottleneck)
                print(plain_line(view), flush=True)
        if not any(view.active for view in views):
            return
        time.sleep(every)
