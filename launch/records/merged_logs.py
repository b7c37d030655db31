"""The logs of several ranks as one, in the order of time. Pure.

A line's time is the one that stands in it; a line without one comes with the line before it. What a rank said last,
without a time, is as old as its file: the trace of a rank that failed first stands before those of the others.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TIME = re.compile(r"\b(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:[.,](\d{1,6}))?")
_TRACE = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Log:
    """The lines of one rank, and when its file was written last, in Unix seconds."""

    lines: Sequence[str]
    written: float


def merged(logs: Mapping[int, Log]) -> list[tuple[int, str]]:
    """(rank, line), oldest first; each rank's lines stay in their order."""
    found: list[tuple[float, int, int, str]] = []
    for rank, log in logs.items():
        at = float("-inf")
        last_trace = max((n for n, line in enumerate(log.lines) if line.startswith(_TRACE)), default=None)
        for number, line in enumerate(log.lines):
            if (moment := time_in(line)) is not None:
                at = max(at, moment)  # somebody's line may name any time: no line goes before the one above it
            elif number == last_trace:
                at = max(at, log.written)
            found.append((at, rank, number, line))
    return [(rank, line) for _, rank, _, line in sorted(found, key=lambda one: one[:3])]


def time_in(line: str) -> float | None:
    """Unix seconds of the first local time in a line; None where there is none."""
    match = _TIME.search(line[:200])
    if match is None:
        return None
    try:
        whole = time.mktime(time.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H:%M:%S"))
    except (ValueError, OverflowError):
        return None
    return whole + (float(f"0.{match[3]}") if match[3] else 0.0)
