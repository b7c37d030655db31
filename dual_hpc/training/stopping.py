"""Being asked to stop: handlers only set a flag, which the ranks agree on in the step's reduction (contract 6)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)


class StopFlag:
    """Set by a signal, read at the step's boundary.

    Attributes:
        reason: name of the first signal that came; None as long as none did.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._pid = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler. A forked child that inherits it has nothing to say about the run."""
        if os.getpid() == self._pid and self.reason is None:
            self.reason = signal.Signals(number).name


@contextmanager
def listening() -> Iterator[StopFlag]:
    """Handle SIGUSR2 and SIGTERM as a wish to stop; the former handlers come back at the end."""
    flag = StopFlag()
    former: dict[signal.Signals, Any] = {number: signal.signal(number, flag) for number in SIGNALS}
    try:
        yield flag
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
