"""`journal.jsonl`: every metric and event of a run, appended before anything else hears of it (contract 8).

One line is one `write` on a file opened for appending, so a killed process leaves at most one torn line, at the end.
Readers leave a torn line out; the next writer closes it before it goes on. After a resume the steps since the
checkpoint are repeated: per (metric, step) the last writer wins.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from dual_hpc.errors import EnvironmentFault


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        time_ms: Unix time in milliseconds.
        end: byte position behind the line, from which a later `read` goes on.
        step: optimiser steps done; None for events outside the training.
        metrics: values by name; empty for events.
        event: its kind, with `fields`; None for metrics.
    """

    time_ms: int
    end: int
    step: int | None
    metrics: Mapping[str, float]
    event: str | None
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Point:
    """One value of one metric."""

    key: str
    step: int
    value: float
    time_ms: int
    end: int


class Journal:
    """The writer; one per run (rank 0)."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise EnvironmentFault(f"{path} cannot be written: {error.strerror}") from error
        self.path = path
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")  # a torn line of a killed writer must not swallow ours

    def metrics(self, step: int, values: Mapping[str, float], time_ms: int | None = None) -> None:
        """Append the values that belong to `step`; NaN and infinities are kept."""
        self._append({"t": _now(time_ms), "step": step, "metrics": {k: _encode(float(v)) for k, v in values.items()}})

    def event(self, kind: str, step: int | None = None, **fields: Any) -> None:
        """Append something that happened: resumed, checkpoint, best, bad_sample, stopped ...; fields are plain data."""
        self._append({"t": _now(None), "step": step, "event": kind, "fields": fields})

    def close(self) -> None:
        """Flush to the disk and close."""
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str) + "\n"
        data = line.encode()
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise EnvironmentFault(f"{self.path} cannot be written: {error.strerror}") from error
        if written != len(data):
            raise EnvironmentFault(f"{self.path} cannot be written: the disk took {written} of {len(data)} bytes")


def read(path: Path, start: int = 0) -> list[Entry]:
    """The whole lines from byte `start` on; torn or foreign lines are left out. A missing file has no entries."""
    try:
        with open(path, "rb") as file:
            file.seek(start)
            data = file.read()
    except FileNotFoundError:
        return []
    entries, position = [], start
    for line in data.splitlines(keepends=True):
        position += len(line)
        if line.endswith(b"\n") and (entry := _decode(line, position)) is not None:
            entries.append(entry)
    return entries


def points(entries: Iterable[Entry]) -> list[Point]:
    """The metric values in the order written. A repeated value is left out; a changed one follows the older one."""
    seen: dict[tuple[str, int], float] = {}
    found: list[Point] = []
    for entry in entries:
        for key, value in entry.metrics.items():
            step = entry.step or 0
            old = seen.get((key, step))
            if old is None or not (old == value or (math.isnan(old) and math.isnan(value))):
                found.append(Point(key, step, value, entry.time_ms, entry.end))
            seen[key, step] = value
    return found


def replay(entries: Iterable[Entry]) -> dict[str, dict[int, float]]:
    """Metric -> step -> value, steps ascending; the last writer of a (metric, step) wins."""
    curves: dict[str, dict[int, float]] = {}
    for point in points(entries):
        curves.setdefault(point.key, {})[point.step] = point.value
    return {key: dict(sorted(curve.items())) for key, curve in curves.items()}


def _now(time_ms: int | None) -> int:
    return time.time_ns() // 1_000_000 if time_ms is None else time_ms


def _encode(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)  # JSON has no NaN


def _decode(line: bytes, end: int) -> Entry | None:
    try:
        record = json.loads(line)
        time_ms, step = record["t"], record["step"]
        if not _counts(time_ms) or not (step is None or _counts(step)):
            return None
        return Entry(
            time_ms=time_ms,
            end=end,
            step=step,
            metrics={str(key): float(value) for key, value in record.get("metrics", {}).items()},
            event=record.get("event"),
            fields=dict(record.get("fields", {})),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
