"""Whose fault it is when a worker dies: the sample's, or the machine's.

A decoder that crashes or hangs on the same sample twice will do so a third time, here and after a restart: the sample
is bad. A SIGKILL from outside (the kernel short of memory, somebody's kill) says nothing about a sample.
"""

from __future__ import annotations

import signal
from collections import Counter

from dual_hpc.data.decoding.decoder import Request
from dual_hpc.errors import EnvironmentFault

_DEATHS_PER_SAMPLE = 2
_DEATHS_WITHOUT_RESULT = 6


class Deaths:
    """Counts deaths by sample, and in a row."""

    def __init__(self) -> None:
        self._by_sample: Counter[int] = Counter()
        self._in_a_row = 0

    def work_was_done(self) -> None:
        """A worker has delivered: deaths so far were not in vain."""
        self._in_a_row = 0

    def judge(self, exit_code: int, hung: bool, decoding: Request | None) -> str | None:
        """The fault of the sample that was being decoded, or None if the work is just to be repeated.

        Args:
            exit_code: as `subprocess` gives it, negative for a signal.
            hung: the parent ended it because decoding took too long.
            decoding: what it was at.

        Raises:
            EnvironmentFault: workers die one after the other and nothing is delivered.
        """
        self._in_a_row += 1
        sample = decoding.ref if decoding is not None else None
        if sample is not None and (hung or exit_code != -signal.SIGKILL):
            self._by_sample[sample.number] += 1
            if self._by_sample[sample.number] >= _DEATHS_PER_SAMPLE:
                del self._by_sample[sample.number]  # without some of its members it may be good yet
                self._in_a_row = 0
                return "its decoder hangs" if hung else f"its decoder dies ({cause_of(exit_code)})"
        if self._in_a_row >= _DEATHS_WITHOUT_RESULT:
            at = f", the last while decoding {sample.key} of {sample.path}" if sample is not None else ""
            raise EnvironmentFault(
                f"{self._in_a_row} data workers died in a row ({cause_of(exit_code)}){at}; "
                "SIGKILL mostly means that the job is short of memory"
            )
        return None


def cause_of(exit_code: int) -> str:
    """ "SIGSEGV" or "exit code 1"."""
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
