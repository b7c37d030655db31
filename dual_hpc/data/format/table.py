"""The address of each sample of a data set, in columns: a hundred bytes per sample that every rank can afford to keep.

The columns are made shard by shard while the index is parsed, so its metadata are never all in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex
from dual_hpc.data.format.reader import SampleRef


class _Columns(NamedTuple):
    """The samples of one shard."""

    keys: NDArray[np.bytes_]
    durations: NDArray[np.float64]
    extensions: list[tuple[str, ...]]  # of each sample's members; equal ones are one object
    spans: NDArray[np.int64]  # offset and bytes of each member, sample by sample, [members, 2]
    sums: NDArray[np.uint32]  # CRC-32 of each member; 0 where the index has none


def _columns(samples: list[IndexedSample]) -> _Columns:
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    extensions = [tuple(sample.members) for sample in samples]
    spans = [span for sample in samples for span in sample.members.values()]
    sums = [sample.crc32.get(extension, 0) for sample in samples for extension in sample.members]
    return _Columns(
        np.array([sample.meta.key for sample in samples], np.bytes_),
        np.array([sample.meta.duration for sample in samples], np.float64),
        [known.setdefault(each, each) for each in extensions],
        np.array(spans, np.int64).reshape(-1, 2),
        np.array(sums, np.uint32),
    )


class _Shard(Shard):
    samples: Annotated[list[IndexedSample], AfterValidator(_columns)]


class TableIndex(ShardIndex):
    """An index whose shards hold columns instead of samples: what a `SampleTable` is made of."""

    shards: list[_Shard]  # type: ignore[assignment]


class SampleTable:
    """Addresses and durations of the samples of several folders, numbered in the order of folders, shards and samples.

    Attributes:
        shard_of: number of the shard of each sample, i64 [n]; shards are numbered through all folders.
        durations: seconds of each sample, f64 [n].
    """

    def __init__(self, folders: Sequence[Path], indexes: Sequence[TableIndex]):
        self._shards = [(str(f / s.name), s.bytes) for f, i in zip(folders, indexes, strict=True) for s in i.shards]
        parts = [cast(_Columns, shard.samples) for index in indexes for shard in index.shards]
        counts = [len(part.extensions) for part in parts]
        self.shard_of: NDArray[np.int64] = np.repeat(np.arange(len(parts)), counts)
        self.durations: NDArray[np.float64] = np.concatenate([part.durations for part in parts] or [np.zeros(0)])
        self._keys = [part.keys for part in parts]
        layouts: dict[tuple[str, ...], int] = {}
        kinds = [layouts.setdefault(each, len(layouts)) for part in parts for each in part.extensions]
        self._layouts, self._layout_of = list(layouts), np.array(kinds, np.int32)
        self._spans = np.concatenate([part.spans for part in parts] or [np.zeros((0, 2), np.int64)])
        self._sums = np.concatenate([part.sums for part in parts] or [np.zeros(0, np.uint32)])
        self._end = np.cumsum(np.array([len(each) for each in layouts], np.int64)[self._layout_of])  # in `_spans`
        self._first = np.cumsum(counts) - counts  # sample of each shard

    def __len__(self) -> int:
        return len(self.durations)

    @property
    def shard_count(self) -> int:
        """Shards of all folders, empty ones included."""
        return len(self._shards)

    def ref(self, number: int) -> SampleRef:
        """What a worker needs to read sample `number`."""
        shard = int(self.shard_of[number])
        path, size = self._shards[shard]
        key = self._keys[shard][number - self._first[shard]].decode()
        extensions = self._layouts[self._layout_of[number]]
        own = slice(self._end[number] - len(extensions), self._end[number])
        spans = zip(extensions, self._spans[own].tolist(), strict=True)
        members = {extension: (offset, length) for extension, (offset, length) in spans}
        sums = zip(extensions, self._sums[own].tolist(), strict=True)
        known = {extension: crc32 for extension, crc32 in sums if crc32}
        return SampleRef(number, key, path, size, members, float(self.durations[number]), known)

    def holders(self) -> dict[str, int]:
        """Each extension, and the first sample that has it."""
        first: dict[str, int] = {}
        kinds, numbers = np.unique(self._layout_of, return_index=True)
        for number, kind in sorted(zip(numbers.tolist(), kinds.tolist(), strict=True)):
            for extension in self._layouts[kind]:
                first.setdefault(extension, number)
        return first
