"""A hang ends the job: every rank writes the stacks of its threads into its log and exits; a new job can resume.

The timer runs in C without the interpreter's lock: a collective that holds the lock for ever is ended as well.
"""

from __future__ import annotations

import faulthandler
import sys

WARMUP_STEPS = 3  # the first steps compile kernels, fill caches and open files


class Watchdog:
    """A timer that every step restarts; when it runs out, it ends the process (exit code 1).

    Args:
        seconds: for one step, its data included, after the first `WARMUP_STEPS`.
        long_seconds: for everything else: start, first steps, validation, checkpoints.
    """

    def __init__(self, seconds: float, long_seconds: float) -> None:
        self._seconds, self._long = min(seconds, long_seconds), long_seconds
        self._steps = 0

    def stepping(self) -> None:
        """A step begins."""
        self._steps += 1
        self._start(self._seconds if self._steps > WARMUP_STEPS else self._long)

    def waiting(self) -> None:
        """Something begins that may take longer than a step."""
        self._start(self._long)

    def close(self) -> None:
        """Stop the timer."""
        faulthandler.cancel_dump_traceback_later()

    def _start(self, seconds: float) -> None:
        # The real standard error: the launcher has redirected its descriptor to the run's logs.
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
