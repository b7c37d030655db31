"""Progress of long work on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from dual_hpc.durations import duration
from dual_hpc.printable import printable, printable_lines, unwrapped

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_SECONDS = 15.0  # between two plain lines


class ProgressDisplay:
    """Counts to `total` (None: not known yet); use it as a context.

    Args:
        what: the work, as in "packing".
        done: what was done before; the rate is of what comes after it.
        shown: None: a bar where standard error is a terminal, else lines; True: a bar; False: nothing.
    """

    def __init__(self, what: str, total: int | None = None, done: int = 0, shown: bool | None = None) -> None:
        self.what, self.total, self.done = what, total, done
        self._first = done
        self._bar: Progress | None = None
        self._with_bar = sys.stderr.isatty() if shown is None else shown
        self._with_lines = shown is None and not self._with_bar

    def __enter__(self) -> ProgressDisplay:
        self._start = self._begun = self._last_line = time.monotonic()
        if self._with_bar:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            times = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[text]}", markup=False))
            columns = (TextColumn(self.what, markup=False), BarColumn(), MofNCompleteColumn(), *times)
            self._bar = Bar(*columns, console=Console(file=unwrapped(sys.stderr)))
            self._bar.start()
            self._task = self._bar.add_task(self.what, total=self.total, completed=self.done, text="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int) -> None:
        """`count` more are done."""
        done = self.done + count
        self.update(done if self.total is None else min(self.total, done), self.total)

    def update(self, done: int, total: int | None, text: str = "") -> None:
        """`done` of `total` are done; `text` says more."""
        self.done, self.total = done, total
        if done <= self._first:  # its start-up belongs to no rate; less: it goes on from an earlier point
            self._first, self._begun = done, time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, text=printable(text))
        elif self._with_lines and time.monotonic() - self._last_line > LINE_SECONDS:
            self._last_line = time.monotonic()
            self.say(f"{self.what}: {self._far()}  {text}".rstrip())

    def _far(self) -> str:
        """ "starting, 20 s so far", which has no total yet; else "120/400, 2.0/s, 3 min left"."""
        if not self.done and self.total is None:
            return f"starting, {duration(self._last_line - self._start)} so far"
        counted = f"{self.done}/{'?' if self.total is None else self.total}"
        if self.done == self._first:
            return counted
        rate = (self.done - self._first) / max(self._last_line - self._begun, 1e-3)
        left = 0.0 if self.total is None or rate <= 0 else (self.total - self.done) / rate
        far = f"{counted}, {rate:.1f}/s"
        return f"{far}, {duration(left)} left" if left >= 1 else far

    def say(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(printable_lines(line), markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)
