"""How much of a run each of its allocations does: whether a time limit is too short for a start-up. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dual_hpc.run.directory import Segment
from launch.records import submissions

_LONG_START = 0.5  # part of the time limit


@dataclass(frozen=True)
class Allocations:
    """Those since the user's last submission that have ended.

    Attributes:
        count: all of them, those that never trained as well.
        steps: optimiser steps that they did together.
        training_seconds: of all of them, without their start-ups.
        limit_seconds: the time limit of one; 0 where unknown.
    """

    count: int = 0
    steps: int = 0
    training_seconds: float = 0.0
    limit_seconds: float = 0.0

    def sentence(self) -> str:
        """ "3 steps per allocation, of which starting up took 70 %"; "" where nothing is known."""
        if not self.count:
            return ""
        each = f"{self.steps / self.count:.3g} steps per allocation"
        if not self.limit_seconds:
            return each
        limit = f"{self.limit_seconds / 60:.0f} minutes" if self.limit_seconds < 7200 else ""
        if not self.training_seconds:
            return f"{each}: starting up took longer than the limit{f' of {limit}' if limit else ''}"
        start = 1 - self.training_seconds / (self.count * self.limit_seconds)
        return f"{each}, of which starting up took {100 * start:.0f} %" if start > _LONG_START else each

    @property
    def too_short(self) -> bool:
        """Most of the time goes into starting up."""
        return self.count * self.limit_seconds * _LONG_START > self.training_seconds


def ended_allocations(
    segments: Sequence[Segment], history: Sequence[submissions.Entry], step: int, *, active: bool
) -> Allocations:
    """Count them.

    Args:
        step: the last one that the journal has.
        active: a job runs or waits now, so the newest allocation has not ended, or not begun.
    """
    since = submissions.since_submit(history)
    if not since:
        return Allocations()
    asked = submissions.last_request(list(history))
    again = sum(entry.event in ("requeue", "chain") for entry in since)
    mine = [one for one in segments if one.time >= since[0].time]
    starts = [number for number, one in enumerate(mine) if one.event == "start"]
    if active and starts and mine[-1].event == "start":
        starts = starts[:-1]
    steps, seconds = 0, 0.0
    for number in starts:
        begin, end = mine[number], mine[number + 1] if number + 1 < len(mine) else None
        steps += max(0, (end.step if end is not None else step) - begin.step)
        seconds += max(0.0, end.time - begin.time) if end is not None and end.event == "end" else 0.0
    limit = asked[0].hours * 3600 if asked is not None else 0.0
    return Allocations(max(len(starts), again + (not active)), steps, seconds, limit)
