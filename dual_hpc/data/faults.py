"""Samples that could not be decoded: counted, tolerated up to a limit, then listed.

A bad sample becomes a blank row (no modality, label -100, valid False) and counts as consumed, so positions stay exact,
ranks stay in step, and a restart skips the same samples.
"""

from __future__ import annotations

import logging

from dual_hpc.data.collate import MicroBatch
from dual_hpc.data.dataset import Request
from dual_hpc.errors import UserError

log = logging.getLogger(__name__)

_SHOWN = 20


class FaultList:
    """The distinct bad samples that this rank has met, or has been told of.

    Args:
        limit: `data.bad_sample_limit`.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._reasons: dict[int, str] = {}  # by number of the sample in the set
        self._lines: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    @property
    def lines(self) -> list[str]:
        """One line per bad sample: shard, key and reason."""
        return list(self._lines.values())

    def reason(self, number: int) -> str | None:
        """Why the sample is bad, if it is known to be: it is then not decoded again."""
        return self._reasons.get(number)

    def extend(self, made: MicroBatch) -> None:
        """Note the bad samples of a micro-batch."""
        for row, reason in made.faults.items():
            self.add(made.rows[row], reason)

    def add(self, request: Request, reason: str) -> None:
        """Note a bad sample; the second time is no news."""
        assert request.ref is not None
        if request.ref.number in self._reasons:
            return
        line = f"{request.ref.path}: {request.ref.key}: {reason}"
        log.warning("bad sample, left blank: %s", line)
        self._reasons[request.ref.number] = reason
        self._lines[request.ref.number] = line

    def known(self) -> dict[int, tuple[str, str]]:
        """Number -> reason and line of every bad sample, for the other ranks."""
        return {number: (reason, self._lines[number]) for number, reason in self._reasons.items()}

    def merge(self, known: dict[int, tuple[str, str]]) -> None:
        """Take over what another rank has met: a sample that comes to this rank next epoch is not tried again."""
        for number, (reason, line) in known.items():
            self._reasons.setdefault(number, reason)
            self._lines.setdefault(number, line)

    def check(self) -> None:
        """Stop when there are too many.

        Raises:
            UserError: more than the limit, with the list.
        """
        if len(self) <= self._limit:
            return
        raise UserError(
            f"{len(self)} samples cannot be decoded and data.bad_sample_limit is {self._limit}; "
            f"repack them or raise the limit: {'; '.join(self.lines[:_SHOWN])}"
        )
