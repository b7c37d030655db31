"""One or several folders of shards seen as one numbered data set."""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.decode import DecodeError, load_array
from dual_hpc.data.format.columns import Columns
from dual_hpc.data.format.columns_cache import open_columns
from dual_hpc.data.format.feature_sets import Choice, chosen_sets
from dual_hpc.data.format.index import INDEX_NAME, IndexedSample, Shard, ShardIndex, dataset_id, read_index
from dual_hpc.data.format.members import FEATURES, TEXT, StoredArray
from dual_hpc.data.format.reader import SampleReader, SampleRef, is_intact
from dual_hpc.data.format.table import SampleTable
from dual_hpc.data.format.utterances import Utterances
from dual_hpc.data.preparation.record import Preparation, of_folders, of_index
from dual_hpc.errors import UserError
from dual_hpc.heartbeat import beat


class ShardSample(NamedTuple):
    """Where one sample is."""

    folder: Path
    shard: Shard
    sample: IndexedSample


class ShardDataset:
    """The samples of all folders, numbered in the order of folders, shards and samples.

    What the indexes say is held in columns, which the ranks of a node share where the indexes are large.

    Args:
        folders: folders that hold an `index.json`, or several sets of features (`format/feature_sets.py`).
        choice: the sets that are read, where there are several.

    Attributes:
        folders: those that say what the samples are: of a folder of sets the first that is read.
        sets: of each folder the sets that are read; empty where it is none of sets.

    Raises:
        UserError: no folder, one without an index or whose index was edited, no samples, the same shards twice,
            media and features mixed, or sets that cannot be read together.
    """

    def __init__(self, folders: Iterable[str | Path], choice: Choice | None = None):
        named = [Path(folder).absolute() for folder in folders]  # the process may change its working directory
        if not named:
            raise UserError("data.shards: name at least one folder of shards")
        self.sets = [chosen_sets(folder, choice or {}) for folder in named]
        if len({tuple(one.folder.name for one in sets) for sets in self.sets}) > 1:
            raise UserError(
                f"data.shards: {', '.join(map(str, named))} are to be read together, but the sets of features in them "
                "have different names; give the sets of one encoder the same name in each"
            )
        self.folders = [sets[0].folder if sets else folder for sets, folder in zip(self.sets, named, strict=True)]
        self._stamps = [_stamp(folder) for folder in self.folders]
        self._columns = [
            sets[0].columns if sets else open_columns(folder)
            for sets, folder in zip(self.sets, self.folders, strict=True)
        ]
        if len({os.path.realpath(folder) for folder in self.folders}) < len(self.folders):
            raise UserError(f"data.shards: {', '.join(map(str, self.folders))} list a folder twice")
        kinds = {columns.kind for columns in self._columns}
        if len(kinds) > 1:
            raise UserError("data.shards: folders of media and of features cannot be read together")
        self.kind = kinds.pop()
        self.options = [columns.options for columns in self._columns]
        self._ids = [_identity(folder, columns) for folder, columns in zip(self.folders, self._columns, strict=True)]
        self._further_ids = [_identity(one.folder, one.columns) for sets in self.sets for one in sets[1:]]
        self.table = SampleTable(self.folders, self._columns, self.sets)
        _return_memory()
        if not len(self.table):
            raise UserError(f"data.shards: no samples in {', '.join(map(str, self.folders))}")

    def __len__(self) -> int:
        return len(self.table)

    @property
    def dataset_id(self) -> str:
        """The folder's own id, or for several folders and sets a hash of theirs in order."""
        ids = [*self._ids, *self._further_ids]
        return ids[0] if len(ids) == 1 else hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32]

    @property
    def shard_of(self) -> NDArray[np.int64]:
        """Number of the shard of each sample, [n]; shards are numbered through all folders."""
        return np.repeat(np.arange(self.table.shard_count), self.table.shard_sizes)

    @property
    def utterances(self) -> Utterances:
        """Metadata of every sample, by number: what protocols and splits are decided from.

        Raises:
            UserError: the shards were packed again since the set was opened.
        """
        for folder, known, stamp in zip(self.folders, self._ids, self._stamps, strict=True):
            if _stamp(folder) != stamp:
                _check_same(folder, known, open_columns(folder).dataset_id)
        return Utterances(self._columns)

    @property
    def preparation(self) -> Preparation | None:
        """How the clips were prepared when they were packed; None where an index does not say."""
        return of_folders([of_index(columns.options, Utterances([columns])) for columns in self._columns])

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

    def features(self) -> dict[str, tuple[StoredArray, ...]]:
        """Name -> what its array in a batch is made of, from the first intact sample that has each; empty for media.

        Raises:
            UserError: every sample that has an array is damaged.
        """
        if self.kind != "features":
            return {}
        found: dict[str, tuple[StoredArray, ...]] = {}
        rates = {one.folder.name: one.columns.options for one in self.sets[0]} or {"": self.options[0]}
        order = list(rates)
        holders = {member: first for member, first in self.table.holders().items() if member.endswith(FEATURES)}
        with SampleReader() as reader:
            for member in sorted(holders, key=lambda one: order.index(one.rpartition("/")[0])):
                of, _, extension = member.rpartition("/")
                name = extension.removesuffix(FEATURES)
                rate = rates[of].get(f"{name}_hz")
                hz = None if rate is None else float(rate)
                array = StoredArray(member, *self._layout(reader, member, holders[member]), hz)
                found[name] = (*found.get(name, ()), array)
        return dict(sorted(found.items()))

    def _layout(self, reader: SampleReader, extension: str, first: int) -> tuple[int, str]:
        for ref in map(self.ref, range(first, len(self))):
            data = reader.read(ref, {extension}).get(extension)
            with suppress(DecodeError):
                if data is not None and is_intact(ref, extension, data):
                    array = load_array(data)
                    return array.shape[1], array.dtype.str
        raise UserError(f"data.shards: every {extension} is damaged; run `dual-hpc extract` again")

    def texts(self, numbers: Sequence[int]) -> list[str]:
        """Transcripts of the samples, read from their shards; empty where a sample has none, or a damaged one."""
        with SampleReader() as reader:
            return [self._text(reader, self.ref(number)) for number in numbers]

    def _text(self, reader: SampleReader, ref: SampleRef) -> str:
        beat()
        data = reader.read(ref, {TEXT}).get(TEXT, b"")
        return data.decode("utf-8", errors="replace").strip() if is_intact(ref, TEXT, data) else ""

    def _read(self) -> list[ShardIndex]:
        indexes = [read_index(folder) for folder in self.folders]
        for folder, known, index in zip(self.folders, self._ids, indexes, strict=True):
            _check_same(folder, known, index.dataset_id)
        return indexes


def _stamp(folder: Path) -> tuple[int, int, int]:
    """Changes with the index."""
    try:
        found = (folder / INDEX_NAME).stat()
    except (OSError, ValueError):
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size


def _check_same(folder: Path, known: str, found: str) -> None:
    if found != known:
        raise UserError(f"data.shards: {folder} was packed again while it was being read; start again")


def _identity(folder: Path, index: Columns) -> str:
    if index.dataset_id != dataset_id(index.shards):
        raise UserError(
            f"data.shards: {folder / INDEX_NAME} lists other shards than it was written for: it was edited, or belongs "
            "to another folder; run `dual-hpc pack` again"
        )
    return index.dataset_id


def _return_memory() -> None:
    """Return to the system what parsing took and freed: twenty times what is kept, and glibc does not by itself."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
