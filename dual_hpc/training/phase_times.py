"""Where the time of a training goes, cut into phases, measured without waiting for a device.

On a CPU a phase lasts from one call to the next. A CUDA device works behind the thread that gives it work, so there a
phase lasts from one event on its stream to the next: `data_wait` is how long the device had nothing to do, not how long
the thread waited. Events are read when they have passed, usually a step later; nothing is synchronised.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import torch

# In the order of a step. `rank_wait`: in the reduction in which the ranks agree, for the slowest of them.
PHASES = ("data_wait", "forward", "backward", "rank_wait", "optimizer", "save_stall", "validation")
REST = "rest"  # what belongs to none of them


class Cuts(Protocol):
    """Moments in the work of a device."""

    def now(self) -> Any:
        """This moment."""

    def has_passed(self, moment: Any) -> bool:
        """Whether the device is there already."""

    def seconds(self, before: Any, after: Any) -> float:
        """Between two moments that have passed."""


class HostCuts:
    """The clock of this thread, which does the work itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock

    def has_passed(self, moment: float) -> bool:
        return True

    def seconds(self, before: float, after: float) -> float:
        return after - before


class CudaCuts:
    """Events on the current stream."""

    def now(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def has_passed(self, moment: torch.cuda.Event) -> bool:
        return bool(moment.query())

    def seconds(self, before: torch.cuda.Event, after: torch.cuda.Event) -> float:
        return before.elapsed_time(after) / 1000


class PhaseTimes:
    """Seconds by phase since the last `shares`."""

    def __init__(self, cuts: Cuts) -> None:
        self._cuts = cuts
        self._last = cuts.now()
        self._pending: deque[tuple[str, Any, Any]] = deque()
        self._seconds: dict[str, float] = {}

    @classmethod
    def on(cls, device: torch.device) -> PhaseTimes:
        """For work on this device."""
        return cls(CudaCuts() if device.type == "cuda" else HostCuts())

    def end(self, phase: str) -> None:
        """A phase ends: what was done since the last call was part of it."""
        now = self._cuts.now()
        self._pending.append((phase, self._last, now))
        self._last = now
        self._read()

    def shares(self) -> dict[str, float]:
        """Of the time since the last call, as far as the device has come: each phase's part, 0..1."""
        self.end(REST)
        total = sum(self._seconds.values())
        found = {phase: self._seconds.get(phase, 0.0) / total if total > 0 else 0.0 for phase in PHASES}
        self._seconds = {}
        return found

    def _read(self) -> None:
        while self._pending and self._cuts.has_passed(self._pending[0][2]):
            phase, before, after = self._pending.popleft()
            self._seconds[phase] = self._seconds.get(phase, 0.0) + self._cuts.seconds(before, after)
