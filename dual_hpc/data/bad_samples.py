"""Samples that could not be decoded: counted, tolerated up to a limit, then listed.

A bad sample becomes a blank row (no modality, label -100, valid False) and counts as consumed, so positions stay exact,
ranks stay in step, and a restart skips the same samples.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from dual_hpc.data.collate import MicroBatch
from dual_hpc.data.decoding.decoder import DecodeFailure, Request
from dual_hpc.errors import UserError

log = logging.getLogger(__name__)

_MAX_LISTED = 20


class BadSamples:
    """The distinct bad samples that this rank has found, or has received from other ranks and earlier jobs.

    Args:
        limit: `data.bad_sample_limit`.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._failures: dict[int, tuple[DecodeFailure, ...]] = {}  # by number of the sample in the data set
        self._lines: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._failures)

    @property
    def lines(self) -> list[str]:
        """One line per bad sample: shard, key and reason."""
        return list(self._lines.values())

    def failures_of(self, number: int) -> tuple[DecodeFailure, ...]:
        """The known failures of a sample: it is not decoded again where it would fail again.

        Where modality dropout leaves the bad member out, the sample is used, as in a run that has not found it bad.
        """
        return self._failures.get(number, ())

    def extend(self, micro_batch: MicroBatch) -> None:
        """Record the bad samples of a micro-batch."""
        for row, failure in micro_batch.failures.items():
            self.add(micro_batch.rows[row], failure)

    def add(self, request: Request, failure: DecodeFailure) -> None:
        """Record a bad sample; it is logged the first time only."""
        assert request.ref is not None
        number = request.ref.number
        if number not in self._lines:
            self._lines[number] = f"{request.ref.path}: {request.ref.key}: {failure.reason}"
            log.warning("bad sample, left blank: %s", self._lines[number])
        if failure not in self.failures_of(number):
            self._failures[number] = (*self.failures_of(number), failure)

    def known(self) -> dict[int, tuple[tuple[DecodeFailure, ...], str]]:
        """Number -> failures and line of every bad sample, for the other ranks."""
        return {number: (failures, self._lines[number]) for number, failures in self._failures.items()}

    def merge(self, known: dict[int, tuple[tuple[DecodeFailure, ...], str]]) -> None:
        """Add what another rank knows: a sample that comes to this rank next epoch is not tried again."""
        for number, (failures, line) in known.items():
            self._failures.setdefault(number, failures)
            self._lines.setdefault(number, line)

    def state_dict(self) -> list[dict[str, Any]]:
        """What a checkpoint keeps, so that a resumed run counts on; plain values, in order of the numbers."""
        return [
            {
                "number": number,
                "line": self._lines[number],
                "faults": [  # the written name
                    {"members": sorted(failure.members), "reason": failure.reason} for failure in self._failures[number]
                ],
            }
            for number in sorted(self._failures)
        ]

    def load_state_dict(self, state: Iterable[Mapping[str, Any]]) -> None:
        """Add what the previous job of the run knew."""
        for bad in state:
            failures = tuple(DecodeFailure(frozenset(one["members"]), one["reason"]) for one in bad["faults"])
            self.merge({bad["number"]: (failures, bad["line"])})

    def check(self) -> None:
        """Stop when there are too many.

        Raises:
            UserError: more than the limit, with the list.
        """
        if len(self) <= self._limit:
            return
        raise UserError(
            f"{len(self)} samples cannot be decoded and data.bad_sample_limit is {self._limit}; "
            f"repack them or raise the limit: {'; '.join(self.lines[:_MAX_LISTED])}"
        )
