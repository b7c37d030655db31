"""Progress of long work on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

_EVERY = 30.0  # seconds between plain lines


class Progress:
    """Counts to `total`; `shown` None asks whether standard error is a terminal, False is silent."""

    def __init__(self, what: str, total: int, done: int = 0, shown: bool | None = None) -> None:
        self.what, self.total, self.done, self.first = what, total, done, done
        self.bar: Any = None
        self.fancy = sys.stderr.isatty() if shown is None else shown
        self.plain = shown is None and not self.fancy

    def __enter__(self) -> Progress:
        self.began = self.spoke = time.monotonic()
        if self.fancy:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn(self.what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self.bar = Bar(*columns, console=Console(stderr=True))
            self.bar.start()
            self.task = self.bar.add_task(self.what, total=self.total, completed=self.done)
        return self

    def advance(self, count: int) -> None:
        """More utterances were reached."""
        self.done = min(self.total, self.done + count)
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done)
        elif self.plain and time.monotonic() - self.spoke > _EVERY:
            self.spoke = time.monotonic()
            rate = (self.done - self.first) / (self.spoke - self.began)
            print(f"{self.what}: {self.done}/{self.total}, {rate:.1f}/s", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
