"""Samples that could not be decoded: counted, tolerated up to a limit, then listed.

A bad sample becomes a blank row (no modality, label -100, valid False) and counts as consumed, so positions stay exact,
ranks stay in step, and a restart skips the same samples.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from dual_hpc.data.collate import MicroBatch
from dual_hpc.data.decoding.decoder import Fault, Request
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
        self._faults: dict[int, tuple[Fault, ...]] = {}  # by number of the sample in the set
        self._lines: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._faults)

    @property
    def lines(self) -> list[str]:
        """One line per bad sample: shard, key and reason."""
        return list(self._lines.values())

    def of(self, number: int) -> tuple[Fault, ...]:
        """What is known to be wrong with a sample: it is not decoded again where it would fail again.

        Where modality dropout spares the bad member, the sample is as good as to a run that has not met it.
        """
        return self._faults.get(number, ())

    def extend(self, made: MicroBatch) -> None:
        """Note the bad samples of a micro-batch."""
        for row, fault in made.faults.items():
            self.add(made.rows[row], fault)

    def add(self, request: Request, fault: Fault) -> None:
        """Note a bad sample; the second time is no news."""
        assert request.ref is not None
        number = request.ref.number
        if number not in self._lines:
            self._lines[number] = f"{request.ref.path}: {request.ref.key}: {fault.reason}"
            log.warning("bad sample, left blank: %s", self._lines[number])
        if fault not in self.of(number):
            self._faults[number] = (*self.of(number), fault)

    def known(self) -> dict[int, tuple[tuple[Fault, ...], str]]:
        """Number -> faults and line of every bad sample, for the other ranks."""
        return {number: (faults, self._lines[number]) for number, faults in self._faults.items()}

    def merge(self, known: dict[int, tuple[tuple[Fault, ...], str]]) -> None:
        """Take over what another rank has met: a sample that comes to this rank next epoch is not tried again."""
        for number, (faults, line) in known.items():
            self._faults.setdefault(number, faults)
            self._lines.setdefault(number, line)

    def state_dict(self) -> list[dict[str, Any]]:
        """What a checkpoint keeps, so that a continued run counts on; plain values, in order of the numbers."""
        return [
            {
                "number": number,
                "line": self._lines[number],
                "faults": [
                    {"members": sorted(fault.members), "reason": fault.reason} for fault in self._faults[number]
                ],
            }
            for number in sorted(self._faults)
        ]

    def load_state_dict(self, state: Iterable[Mapping[str, Any]]) -> None:
        """Take over what the job before knew."""
        for bad in state:
            faults = tuple(Fault(frozenset(one["members"]), one["reason"]) for one in bad["faults"])
            self.merge({bad["number"]: (faults, bad["line"])})

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
