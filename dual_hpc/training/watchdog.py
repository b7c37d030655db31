"""A hang ends the job: every rank writes the stacks of its threads into its log and exits; a new job can resume.

The timer runs in C without the interpreter's lock: a collective that holds the lock for ever is ended as well.
"""

from __future__ import annotations

import faulthandler
import sys
import threading
import time

WARMUP_STEPS = 3  # the first steps compile kernels, fill caches and open files
RESTART_SECONDS = 1.0  # at most so often do pieces of long work restart the timer, which costs a thread


class Watchdog:
    """A timer that every step restarts; when it runs out, it ends the process (exit code 1).

    What takes longer than a step (start, first steps, validation, checkpoints, exports) is never timed as a whole:
    each piece of it (`dual_hpc.heartbeat`) restarts the timer, so that only what makes no progress is a hang.

    Args:
        seconds: for one step after the first `WARMUP_STEPS`, without the time that it waits for data (`data_stall.py`).
        long_seconds: for one piece of everything else.
    """

    def __init__(self, seconds: float, long_seconds: float) -> None:
        self._seconds, self._long = min(seconds, long_seconds), long_seconds
        self._steps = 0
        self._pieces_count = False  # in a settled step they do not: other ranks wait for it
        self._started = 0.0
        self._limit: float | None = None  # of what runs now; None before the first and after the last
        self._lock = threading.Lock()

    def stepping(self) -> None:
        """A step begins."""
        self._steps += 1
        settled = self._steps > WARMUP_STEPS
        self._start(self._seconds if settled else self._long, pieces_count=not settled)

    def waiting(self) -> None:
        """Something begins that may take longer than a step."""
        self._start(self._long, pieces_count=True)

    def progressed(self) -> None:
        """A piece of what takes longer than a step is done; called in any thread, as often as there are pieces."""
        with self._lock:
            if self._pieces_count and time.monotonic() - self._started > min(RESTART_SECONDS, self._long / 10):
                self._restart(self._long)

    def seconds(self) -> float:
        """How long the timer has been running."""
        return time.monotonic() - self._started

    def excuse(self) -> None:
        """What the process has waited for so far was no hang: the timer begins again."""
        with self._lock:
            if self._limit is not None:
                self._restart(self._limit)

    def close(self) -> None:
        """Stop the timer."""
        with self._lock:
            self._pieces_count, self._limit = False, None
            faulthandler.cancel_dump_traceback_later()

    def _start(self, seconds: float, *, pieces_count: bool) -> None:
        with self._lock:
            self._pieces_count = pieces_count
            self._restart(seconds)

    def _restart(self, seconds: float) -> None:
        self._started, self._limit = time.monotonic(), seconds
        # The real standard error: the launcher has redirected its descriptor to the run's logs.
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
