"""How much of a profile the device computed, and what took longest there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch.autograd import DeviceType


def summary(events: Iterable[Any]) -> dict[str, Any]:
    """`idle`: the share without a kernel between the first and the last one (None: no kernel ran on a GPU); `longest`:
    name -> share of the kernels' time, the ten longest.

    Args:
        events: of `torch.profiler.profile`.
    """
    kernels = [event for event in events if event.device_type == DeviceType.CUDA]
    spans = sorted((event.time_range.start, event.time_range.end) for event in kernels)
    if not spans:
        return {"idle": None, "longest": {}}
    total = spans[-1][1] - spans[0][0]
    by_name: Counter[str] = Counter()
    for event in kernels:
        by_name[event.name[:80]] += event.time_range.end - event.time_range.start
    everything = sum(by_name.values()) or 1
    longest = {name: round(time / everything, 3) for name, time in by_name.most_common(10)}
    return {"idle": round(1 - covered(spans) / (total or 1), 3), "longest": longest}


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of spans, sorted by their start."""
    length, reached = 0.0, float("-inf")
    for start, end in spans:
        length += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return length
