"""The address of each sample of a data set, by number over all folders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.format.columns import Columns
from dual_hpc.data.format.feature_sets import FeatureSet
from dual_hpc.data.format.members import FEATURES
from dual_hpc.data.format.reader import SampleRef


class SampleTable:
    """Addresses and durations of the samples of several folders, numbered in the order of folders, shards and samples.

    Shards are numbered through all folders.

    Args:
        joined: of each folder, where it is read together with sets of features, those; it is the first of them.
    """

    def __init__(
        self, folders: Sequence[Path], columns: Sequence[Columns], joined: Sequence[Sequence[FeatureSet]] = ()
    ):
        self._columns = list(columns)
        self._sets = [
            [(one.folder.name, one.members, SampleTable([one.folder], [one.columns])) for one in sets]
            for sets in joined or [[] for _ in columns]
        ]
        tars = [(folder, shard) for folder, each in zip(folders, columns, strict=True) for shard in each.shards]
        self._shards = [(str(folder / shard.name), shard.bytes) for folder, shard in tars]
        self._shard_end = np.cumsum(np.array([shard.samples for _, shard in tars], np.int64))
        self._folder_end = np.cumsum(np.array([len(each) for each in columns], np.int64))

    def __len__(self) -> int:
        return int(self._folder_end[-1]) if len(self._folder_end) else 0

    @property
    def shard_count(self) -> int:
        """Shards of all folders, empty ones included."""
        return len(self._shards)

    @property
    def shard_sizes(self) -> NDArray[np.int64]:
        """Samples of each shard, i64 [shard_count]."""
        return np.diff(self._shard_end, prepend=0)

    def counts(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of these numbers, which ascend, lie in each shard, i64 [shard_count]."""
        return np.diff(np.searchsorted(numbers, self._shard_end), prepend=0)

    def durations(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Seconds of these samples, whose numbers ascend, f64 [len(numbers)]."""
        bounds = [0, *np.searchsorted(numbers, self._folder_end).tolist()]
        ends = [0, *self._folder_end.tolist()]
        parts = [
            each.durations[numbers[begin:end] - first]
            for each, begin, end, first in zip(self._columns, bounds, bounds[1:], ends, strict=False)
        ]
        return np.concatenate([np.zeros(0), *parts])

    def ref(self, number: int) -> SampleRef:
        """What a worker needs to read sample `number`."""
        path, size = self._shards[int(np.searchsorted(self._shard_end, number, side="right"))]
        folder = int(np.searchsorted(self._folder_end, number, side="right"))
        columns = self._columns[folder]
        own = number - (int(self._folder_end[folder - 1]) if folder else 0)
        extensions = columns.layouts[columns.layout_of[own]]
        end = int(columns.member_end[own])
        members = slice(end - len(extensions), end)
        spans = zip(extensions, columns.spans[members].tolist(), strict=True)
        sums = zip(extensions, columns.crc32[members].tolist(), strict=True)
        found = SampleRef(
            number,
            columns.keys[own].decode(),
            path,
            size,
            {extension: (offset, length) for extension, (offset, length) in spans},
            float(columns.durations[own]),
            {extension: crc32 for extension, crc32 in sums if crc32},
        )
        return _joined(found, {name: (table.ref(own), wanted) for name, wanted, table in self._sets[folder]})

    def holders(self) -> dict[str, int]:
        """Each extension, and the first sample that has it."""
        first: dict[str, int] = {}
        begin = 0
        for columns, sets in zip(self._columns, self._sets, strict=True):
            for name, wanted, table in sets:
                for extension, number in table.holders().items():
                    if extension in wanted:
                        first.setdefault(f"{name}/{extension}", begin + number)
            kinds, numbers = np.unique(columns.layout_of, return_index=True)
            for number, kind in sorted(zip(numbers.tolist(), kinds.tolist(), strict=True)):
                for extension in columns.layouts[kind]:
                    if not (sets and extension.endswith(FEATURES)):
                        first.setdefault(extension, begin + number)
            begin += len(columns)
        return first


def _joined(ref: SampleRef, sets: Mapping[str, tuple[SampleRef, Collection[str]]]) -> SampleRef:
    """The sample with the wanted features of each set in place of its own."""
    if not sets:
        return ref
    members = {extension: span for extension, span in ref.members.items() if not extension.endswith(FEATURES)}
    sums = {extension: crc32 for extension, crc32 in ref.crc32.items() if extension in members}
    for name, (other, wanted) in sets.items():
        members |= {f"{name}/{e}": span for e, span in other.members.items() if e in wanted}
        sums |= {f"{name}/{e}": crc32 for e, crc32 in other.crc32.items() if e in wanted}
    beside = {name: (other.path, other.shard_bytes) for name, (other, _) in sets.items()}
    return replace(ref, members=members, crc32=sums, beside=beside)
