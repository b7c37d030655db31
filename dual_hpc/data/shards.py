"""One or several folders of shards seen as one numbered data set."""

from __future__ import annotations

import ctypes
import hashlib
import io
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.index import IndexedSample, Shard, ShardIndex, read_index
from dual_hpc.data.members import FEATURES, TEXT
from dual_hpc.data.reader import SampleReader, SampleRef
from dual_hpc.data.sample import Utterance
from dual_hpc.data.table import SampleTable, TableIndex
from dual_hpc.errors import UserError


class ShardSample(NamedTuple):
    """Where one sample is."""

    folder: Path
    shard: Shard
    sample: IndexedSample


class ShardSet:
    """The samples of all folders, numbered in the order of folders, shards and samples.

    Only what reading needs stays in memory; metadata are read from the indexes again when they are asked for.

    Args:
        folders: folders that hold an `index.json`.

    Raises:
        UserError: no folder, one without an index, no samples, or media and features mixed.
    """

    def __init__(self, folders: Iterable[str | Path]):
        self.folders = [Path(folder) for folder in folders]
        if not self.folders:
            raise UserError("data.shards: name at least one folder of shards")
        indexes = [read_index(folder, TableIndex) for folder in self.folders]
        kinds = {index.kind for index in indexes}
        if len(kinds) > 1:
            raise UserError("data.shards: folders of media and of features cannot be read together")
        self.kind = kinds.pop()
        self.options = [index.options for index in indexes]
        self._ids = [index.dataset_id for index in indexes]
        self.table = SampleTable(self.folders, indexes)
        del indexes
        _return_memory()
        if not len(self.table):
            raise UserError(f"data.shards: no samples in {', '.join(map(str, self.folders))}")

    def __len__(self) -> int:
        return len(self.table)

    @property
    def dataset_id(self) -> str:
        """The folder's own id, or for several folders a hash of theirs in order."""
        return self._ids[0] if len(self._ids) == 1 else hashlib.sha256("\n".join(self._ids).encode()).hexdigest()[:32]

    @property
    def shard_of(self) -> NDArray[np.int64]:
        """Number of the shard of each sample."""
        return self.table.shard_of

    @property
    def utterances(self) -> list[Utterance]:
        """Metadata of every sample, by number: what protocols and splits are decided from. Read anew at each call."""
        return [entry.meta for index in self._read() for shard in index.shards for entry in shard.samples]

    @cached_property
    def indexes(self) -> list[ShardIndex]:
        """The folders' indexes, kept from the first use on: some kilobytes per sample."""
        return self._read()

    @cached_property
    def samples(self) -> list[ShardSample]:
        """All that the indexes say of each sample, by number."""
        pairs = zip(self.folders, self.indexes, strict=True)
        return [ShardSample(folder, s, sample) for folder, index in pairs for s in index.shards for sample in s.samples]

    def ref(self, number: int) -> SampleRef:
        """What a worker needs to read sample `number`."""
        return self.table.ref(number)

    def features(self) -> dict[str, tuple[int, str]]:
        """Arrays of feature shards, name -> (D, dtype), from the first sample that has each; empty for media."""
        if self.kind != "features":
            return {}
        layout = {}
        with SampleReader() as reader:
            for extension, number in sorted(self.table.holders().items()):
                if extension.endswith(FEATURES):
                    npy = reader.read(self.ref(number), {extension})[extension]
                    array = np.load(io.BytesIO(npy), allow_pickle=False)
                    layout[extension.removesuffix(FEATURES)] = (array.shape[-1], array.dtype.str)
        return layout

    def texts(self, numbers: Sequence[int]) -> list[str]:
        """Transcripts of the samples, read from their shards; empty where a sample has none."""
        with SampleReader() as reader:
            read = (reader.read(self.ref(number), {TEXT}) for number in numbers)
            return [members.get(TEXT, b"").decode("utf-8", errors="replace").strip() for members in read]

    def _read(self) -> list[ShardIndex]:
        indexes = [read_index(folder) for folder in self.folders]
        for folder, known, index in zip(self.folders, self._ids, indexes, strict=True):
            if index.dataset_id != known:
                raise UserError(f"data.shards: {folder} was packed again while it was being read; start again")
        return indexes


def _return_memory() -> None:
    """Give back what parsing took and freed: twenty times what is kept of it, and glibc does not by itself."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
