"""How much of a run's journals MLflow has, in a file of the run: `.mlflow_sent.json`.

It belongs to one run of one MLflow. A database that was put back from a copy, or that lost its end, is noticed by the
values that it shows: then everything is sent again, which changes nothing that is there (contract 8).
"""

from __future__ import annotations

import contextlib
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import LARGE, read_bytes
from dual_hpc.run.journal import Point
from dual_hpc.tracking.mlflow_format import mlflow_name

NAME = ".mlflow_sent.json"


class Sent:
    """What one MLflow run has of the journals of a run directory.

    Args:
        folder: the run directory.
        where: the MLflow and the id of its run.
    """

    def __init__(self, folder: Path, where: str) -> None:
        self._file, self._folder, self._where = folder / NAME, folder, where
        self._known = self._read()

    def bytes_of(self, journal: Path) -> int:
        """Bytes of a journal that were sent; 0 where it is not the same file any more."""
        written = self._known.get(self._where, {}).get(self._name(journal))
        if not (isinstance(written, list) and len(written) == 2 and isinstance(written[0], int) and written[0] > 0):
            return 0
        return written[0] if written[1] == _checksum(journal, written[0]) else 0

    def note(self, journal: Path, end: int) -> None:
        """Remember that the journal was sent up to byte `end`. Not being able to costs a repetition."""
        now = [end, _checksum(journal, end)]
        mine = self._known.setdefault(self._where, {})
        if mine.get(self._name(journal)) == now:
            return
        mine[self._name(journal)] = now
        with contextlib.suppress(OSError):
            write_atomically(self._file, json.dumps(self._known, indent=1) + "\n")

    def _name(self, journal: Path) -> str:
        return journal.relative_to(self._folder).as_posix()

    def _read(self) -> dict[str, dict[str, object]]:
        try:
            content = parse_json(read_bytes(self._file))
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict):
            return {}
        return {where: dict(found) for where, found in content.items() if isinstance(found, dict)}


def is_there(points: Iterable[Point], shown: Mapping[str, float]) -> bool:
    """Whether MLflow shows of each metric the value that the points which it was sent end with.

    Args:
        shown: metric -> the value that MLflow calls its latest.
    """
    last: dict[str, tuple[int, int, float]] = {}
    for point in points:
        if not math.isinf(point.value):  # those are not sent
            name = mlflow_name(point.key)
            last[name] = max(last.get(name, (-1, -1, 0.0)), (point.step, point.time_ms, point.value))
    return all(name in shown and _same(shown[name], value) for name, (_, _, value) in last.items())


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _checksum(journal: Path, end: int) -> str:
    return f"{zlib.crc32(read_bytes(journal, LARGE)[:end]):08x}" if end else ""
