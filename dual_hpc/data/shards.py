"""One or several folders of shards seen as one numbered data set."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.index import IndexedSample, Shard, read_index
from dual_hpc.data.reader import SampleReader, SampleRef
from dual_hpc.data.sample import FEATURES, TEXT, Utterance
from dual_hpc.errors import UserError


class ShardSample(NamedTuple):
    """Where one sample is."""

    folder: Path
    shard: Shard
    sample: IndexedSample


class ShardSet:
    """The samples of all folders, numbered in the order of folders, shards and samples.

    Args:
        folders: folders that hold an `index.json`.

    Raises:
        UserError: no folder, one without an index, no samples, or media and features mixed.
    """

    def __init__(self, folders: Iterable[str | Path]):
        self.folders = [Path(folder) for folder in folders]
        if not self.folders:
            raise UserError("data.shards: name at least one folder of shards")
        self.indexes = [read_index(folder) for folder in self.folders]
        kinds = {index.kind for index in self.indexes}
        if len(kinds) > 1:
            raise UserError("data.shards: folders of media and of features cannot be read together")
        self.kind = kinds.pop()
        self.samples: list[ShardSample] = []
        shard_of: list[int] = []
        self.shard_count = 0
        for folder, index in zip(self.folders, self.indexes, strict=True):
            for shard in index.shards:
                self.samples += [ShardSample(folder, shard, sample) for sample in shard.samples]
                shard_of += [self.shard_count] * len(shard.samples)
                self.shard_count += 1
        if not self.samples:
            raise UserError(f"data.shards: no samples in {', '.join(map(str, self.folders))}")
        self.shard_of: NDArray[np.int64] = np.asarray(shard_of, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def dataset_id(self) -> str:
        """The folder's own id, or for several folders a hash of theirs in order."""
        ids = [index.dataset_id for index in self.indexes]
        return ids[0] if len(ids) == 1 else hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32]

    @property
    def utterances(self) -> list[Utterance]:
        """Metadata of every sample, by number: what protocols and splits are decided from."""
        return [entry.sample.meta for entry in self.samples]

    def ref(self, number: int) -> SampleRef:
        """What a worker needs to read sample `number`."""
        folder, shard, sample = self.samples[number]
        return SampleRef(
            number=number,
            key=sample.meta.key,
            path=str(folder / shard.name),
            shard_bytes=shard.bytes,
            members=dict(sample.members),
            duration=sample.meta.duration,
        )

    def features(self) -> dict[str, tuple[int, str]]:
        """Arrays of feature shards, name -> (D, dtype), from the first sample that has each; empty for media."""
        if self.kind != "features":
            return {}
        holders: dict[str, int] = {}
        for number, entry in enumerate(self.samples):
            for extension in entry.sample.members:
                if extension.endswith(FEATURES):
                    holders.setdefault(extension, number)
        layout = {}
        with SampleReader() as reader:
            for extension, number in sorted(holders.items()):
                npy = reader.read(self.ref(number), {extension})[extension]
                array = np.load(io.BytesIO(npy), allow_pickle=False)
                layout[extension.removesuffix(FEATURES)] = (array.shape[-1], array.dtype.str)
        return layout

    def texts(self, numbers: Sequence[int]) -> list[str]:
        """Transcripts of the samples, read from their shards; empty where a sample has none."""
        with SampleReader() as reader:
            read = (reader.read(self.ref(number), {TEXT}) for number in numbers)
            return [members.get(TEXT, b"").decode("utf-8", errors="replace").strip() for members in read]
