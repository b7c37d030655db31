"""`journal.jsonl`: every metric and event of a run, appended before anything else receives it (contract 8).

One line is one `write` on a file opened for appending, so a killed process leaves at most one torn line, at the end.
Readers leave a torn line out; the next writer ends it with a line break. After a resume the steps since the
checkpoint are repeated: per (metric, step) the last writer wins.
"""

from __future__ import annotations

import contextlib
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
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import LARGE, check_regular, read_bytes


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        time_ms: Unix time in milliseconds.
        end: byte position after the line, from which a later `read` continues.
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
    """The writer; one per run (rank 0). What a full disk does not take waits in memory for the next line.

    Attributes:
        failure: why lines are waiting; None if all are written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            check_regular(self._file, path)
        except OSError as error:
            raise EnvironmentFault(f"{path} cannot be written: {error.strerror}") from error
        self.path = path
        self.failure: str | None = None
        size = os.fstat(self._file).st_size
        torn = size and os.pread(self._file, 1, size - 1) != b"\n"
        self._waiting = b"\n" if torn else b""  # a torn line of a killed writer must not swallow ours

    def metrics(self, step: int, values: Mapping[str, float], time_ms: int | None = None) -> None:
        """Append the values that belong to `step`; NaN and infinities are kept."""
        self._append({"t": _now(time_ms), "step": step, "metrics": {k: _encode(float(v)) for k, v in values.items()}})

    def event(self, kind: str, step: int | None = None, **fields: Any) -> None:
        """Append something that happened: resumed, checkpoint, best, bad_sample, stopped ...; fields are plain data."""
        self._append({"t": _now(None), "step": step, "event": kind, "fields": fields})

    def touch(self) -> None:
        """Set the file's time: the run makes progress that takes long to give a line (a validation, slow steps)."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.utime(self._file)

    def close(self) -> None:
        """Flush to the disk and close.

        Raises:
            EnvironmentFault: the last lines could not be written.
        """
        if self._file < 0:
            return
        try:
            self._write_waiting()
            os.fsync(self._file)
        except OSError as error:
            self.failure = self.failure or error.strerror
        finally:
            os.close(self._file)
            self._file = -1
        if self.failure:
            raise EnvironmentFault(f"{self.path} has lost its last lines: {self.failure}")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str) + "\n"
        self._waiting += line.encode()
        self._write_waiting()

    def _write_waiting(self) -> None:
        try:
            while self._waiting:  # a disk that becomes full takes a part, and the rest once it has room again
                self._waiting = self._waiting[os.write(self._file, self._waiting) :]
        except OSError as error:
            self.failure = error.strerror or str(error)
        else:
            self.failure = None


def read(path: Path, start: int = 0) -> list[Entry]:
    """The entries from byte `start` on, none of a missing file; torn lines and lines of another form are left out."""
    try:
        data = read_bytes(path, LARGE, start)
    except FileNotFoundError:
        return []
    entries, position = [], start
    for line in data.splitlines(keepends=True):
        position += len(line)
        if line.endswith(b"\n") and (entry := _decode(line, position)) is not None:
            entries.append(entry)
    return entries


def points(entries: Iterable[Entry]) -> list[Point]:
    """The metric values in the order written. A repeated value is left out; a changed one follows the older one.

    It does so in time as well, by a millisecond where another node's clock is slow: of one step, MLflow shows the
    latest value.
    """
    seen: dict[tuple[str, int], Point] = {}
    found: list[Point] = []
    for entry in entries:
        for key, value in entry.metrics.items():
            step, time_ms = entry.step or 0, entry.time_ms
            old = seen.get((key, step))
            if old is not None:
                if old.value == value or (math.isnan(old.value) and math.isnan(value)):
                    continue
                time_ms = max(time_ms, old.time_ms + 1)
            seen[key, step] = Point(key, step, value, time_ms, entry.end)
            found.append(seen[key, step])
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
        record = parse_json(line)
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
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
