"""What a worker's crash is blamed on: the sample that it was decoding, or the machine.

A decoder that crashes or hangs on the same sample twice will do so a third time, here and after a restart: the sample
is bad. A SIGKILL from outside (the kernel when memory runs out, a person) says nothing about a sample.
"""

from __future__ import annotations

import signal
from collections import Counter

from dual_hpc.data.decoding.decoder import Request
from dual_hpc.errors import EnvironmentFault

_CRASHES_PER_SAMPLE = 2
_CRASHES_WITHOUT_RESULT = 6


class CrashCounter:
    """Counts worker crashes per sample, and consecutive ones."""

    def __init__(self) -> None:
        self._by_sample: Counter[int] = Counter()
        self._consecutive = 0

    def reset(self) -> None:
        """Reset the consecutive-crash counter: a worker has delivered a result."""
        self._consecutive = 0

    def blame(self, exit_code: int, hung: bool, decoding: Request | None) -> str | None:
        """Why the sample that was being decoded is bad, or None if its work is just to be repeated.

        Args:
            exit_code: as `subprocess` gives it, negative for a signal.
            hung: the parent killed the worker because decoding took too long.
            decoding: the row that the worker was decoding.

        Raises:
            EnvironmentFault: workers crash one after the other and nothing is delivered.
        """
        self._consecutive += 1
        sample = decoding.ref if decoding is not None else None
        if sample is not None and (hung or exit_code != -signal.SIGKILL):
            self._by_sample[sample.number] += 1
            if self._by_sample[sample.number] >= _CRASHES_PER_SAMPLE:
                del self._by_sample[sample.number]  # without some of its members it may still be decodable
                self._consecutive = 0
                return "its decoder hangs" if hung else f"its decoder dies ({cause_of(exit_code)})"
        if self._consecutive >= _CRASHES_WITHOUT_RESULT:
            at = f", the last while decoding {sample.key} of {sample.path}" if sample is not None else ""
            raise EnvironmentFault(
                f"{self._consecutive} data workers died in a row ({cause_of(exit_code)}){at}; "
                "SIGKILL mostly means that the job ran out of memory"
            )
        return None


def cause_of(exit_code: int) -> str:
    """ "SIGSEGV" or "exit code 1"."""
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
