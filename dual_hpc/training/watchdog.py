"""A hang ends: every rank writes the stacks of its threads into its log and leaves; the job can go on elsewhere.

The timer runs in C without the interpreter's lock: a collective that holds it for ever is ended as well.
"""

from __future__ import annotations

import faulthandler
import sys

SETTLING_STEPS = 3  # the first ones compile kernels, fill caches and open files


class Watchdog:
    """Restarted by whoever has come further; ends the process (exit code 1) if nobody does.

    Args:
        seconds: for one step, its data included, once the training has settled.
        long_seconds: for everything else: start, first steps, validation, checkpoints.
    """

    def __init__(self, seconds: float, long_seconds: float) -> None:
        self._seconds, self._long = min(seconds, long_seconds), long_seconds
        self._steps = 0

    def stepping(self) -> None:
        """A step begins."""
        self._steps += 1
        self._start(self._seconds if self._steps > SETTLING_STEPS else self._long)

    def waiting(self) -> None:
        """Something begins that may take longer than a step."""
        self._start(self._long)

    def close(self) -> None:
        """Nothing more is expected."""
        faulthandler.cancel_dump_traceback_later()

    def _start(self, seconds: float) -> None:
        # The real standard error: the launcher has led its descriptor into the run's logs.
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
