"""Where the time of a training goes, cut into phases, measured without waiting for a device.

On a CPU a phase lasts from one call to the next. A CUDA device works behind the thread that gives it work, so there a
phase lasts from one event on its stream to the next: `data_wait` is how long the device had nothing to do, not how long
the thread waited. Events are read when they have passed, usually a step later; nothing is synchronised.

A rank that is slow makes the others wait in the collectives of the engine, so that the wall time of a backward pass
is the same on all of them. What a rank does itself is told apart from that wait (`reduction`): on a CPU each collective
is a phase of its own; on a CUDA device, where collectives run beside the computation, a backward pass is the rank's own
until its first gradient bucket is ready.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import torch

from dual_hpc.run.phases import PHASES, REDUCTION

REST = "rest"  # what belongs to none of them


class Cuts(Protocol):
    """Moments in the work of a device.

    Attributes:
        behind: the device works behind the thread, and its collectives beside its computation.
    """

    behind: bool

    def now(self) -> Any:
        """This moment."""

    def has_passed(self, moment: Any) -> bool:
        """Whether the device is there already."""

    def seconds(self, before: Any, after: Any) -> float:
        """Between two moments that have passed."""


class HostCuts:
    """The clock of this thread, which does the work itself."""

    behind = False

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock

    def has_passed(self, moment: float) -> bool:
        return True

    def seconds(self, before: float, after: float) -> float:
        return after - before


class CudaCuts:
    """Events on the stream that computes, also where another one is the current one."""

    behind = True

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._stream = stream

    def now(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(self._stream)
        return event

    def has_passed(self, moment: torch.cuda.Event) -> bool:
        return bool(moment.query())

    def seconds(self, before: torch.cuda.Event, after: torch.cuda.Event) -> float:
        return before.elapsed_time(after) / 1000


class PhaseTimes:
    """Seconds by phase."""

    def __init__(self, cuts: Cuts) -> None:
        self._cuts = cuts
        self._last = cuts.now()
        self._pending: deque[tuple[str, Any, Any]] = deque()
        self._seconds: dict[str, float] = {}
        self._shared: dict[str, float] = {}  # the seconds at the last `shares`
        self._phase: str | None = None  # which `begin` has named
        self._collectives = 0  # that this rank is in: they call each other
        self._reduces = False  # a device behind has begun to reduce in this backward pass

    @classmethod
    def on(cls, device: torch.device) -> PhaseTimes:
        """For work on this device."""
        return cls(CudaCuts(torch.cuda.current_stream(device)) if device.type == "cuda" else HostCuts())

    def begin(self, phase: str) -> None:
        """What follows, until its `end`, is this phase, but for the engine's collectives in it."""
        self._phase = phase

    def end(self, phase: str) -> None:
        """A phase ends: what was done since the last call was part of it."""
        self._cut(REDUCTION if self._reduces else phase)
        self._phase, self._reduces = None, False

    def enter_collective(self) -> None:
        """The engine begins to exchange something with other ranks."""
        if self._phase is None:
            return
        self._collectives += 1
        if not self._cuts.behind and self._collectives == 1:
            self._cut(self._phase)
        elif self._cuts.behind and self._phase == "backward" and not self._reduces:
            self._cut(self._phase)
            self._reduces = True

    def leave_collective(self) -> None:
        """It has done so."""
        if self._collectives:
            self._collectives -= 1
            if not self._cuts.behind and not self._collectives:
                self._cut(REDUCTION)

    def seconds(self) -> dict[str, float]:
        """By phase, with `REST`, since the beginning, as far as the device has come."""
        self._cut(REST if self._phase is None else self._phase)
        return dict(self._seconds)

    def shares(self) -> dict[str, float]:
        """Of the time since the last call, as far as the device has come: each phase's part, 0..1."""
        now = self.seconds()
        passed = {phase: seconds - self._shared.get(phase, 0.0) for phase, seconds in now.items()}
        self._shared, total = now, sum(passed.values())
        return {phase: passed.get(phase, 0.0) / total if total > 0 else 0.0 for phase in PHASES}

    def _cut(self, phase: str) -> None:
        now = self._cuts.now()
        self._pending.append((phase, self._last, now))
        self._last = now
        while self._pending and self._cuts.has_passed(self._pending[0][2]):
            ended, before, after = self._pending.popleft()
            self._seconds[ended] = self._seconds.get(ended, 0.0) + self._cuts.seconds(before, after)
