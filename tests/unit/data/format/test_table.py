"""The columns that stand for an index: they say the same, and are small."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.format.columns import Columns
from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex, dataset_id, read_index, write_index
from dual_hpc.data.format.sample import Utterance
from dual_hpc.data.format.table import SampleTable
from dual_hpc.errors import UserError

MEMBERS = st.dictionaries(
    st.sampled_from(["json", "flac", "mp4", "txt", "audio.npy"]),
    st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)),
)
SHARDS = st.lists(
    st.lists(st.tuples(MEMBERS, st.floats(1e-3, 1e5)), max_size=4),
    max_size=5,
)


def an_index(shards: list[list[tuple[dict[str, tuple[int, int]], float]]]) -> ShardIndex:
    def sample(key: str, members: dict[str, tuple[int, int]], duration: float) -> IndexedSample:
        meta = Utterance(key=key, corpus="c", dialogue="d", utterance=0, speaker="s", duration=duration)
        return IndexedSample(meta=meta, members=members)

    written = [
        Shard(
            name=f"{n}.tar",
            bytes=n,
            sha256="0",
            samples=[sample(f"k{n}_{i}" + "y" * i, *one) for i, one in enumerate(samples)],
        )
        for n, samples in enumerate(shards)
    ]
    return ShardIndex(dataset_id=dataset_id(written), corpus="c", options={}, shards=written)


@given(st.lists(SHARDS, min_size=1, max_size=3))
def test_the_columns_say_what_the_indexes_say(folders: Any) -> None:
    indexes = [an_index(shards) for shards in folders]
    paths = [Path(f"f{n}") for n in range(len(indexes))]
    table = SampleTable(paths, [Columns.of(index) for index in indexes])
    expected = [
        (sample.meta.key, str(path / shard.name), shard.bytes, sample.members, sample.meta.duration)
        for path, index in zip(paths, indexes, strict=True)
        for shard in index.shards
        for sample in shard.samples
    ]
    refs = [table.ref(number) for number in range(len(table))]
    assert [(r.key, r.path, r.shard_bytes, r.members, r.duration) for r in refs] == expected
    assert [r.number for r in refs] == list(range(len(expected)))
    numbers = np.arange(len(expected))
    assert table.durations(numbers).tolist() == [one[4] for one in expected]
    assert table.durations(numbers[::3]).tolist() == [one[4] for one in expected[::3]]
    assert table.shard_count == sum(map(len, folders))
    shards = [shard for index in indexes for shard in index.shards]
    assert table.shard_sizes.tolist() == [len(shard.samples) for shard in shards]
    of_shard = [n for n, shard in enumerate(shards) for _ in shard.samples]
    assert table.counts(numbers[1::2]).tolist() == [of_shard[1::2].count(n) for n in range(len(shards))]
    holders: dict[str, int] = {}
    for number, one in enumerate(expected):
        for extension in one[3]:
            holders.setdefault(extension, number)
    assert table.holders() == holders


def test_a_set_keeps_little_of_its_index(tmp_path: Path) -> None:
    members = {"json": (512, 300), "flac": (1536, 40_000), "mp4": (50_000, 40_000), "txt": (100_000, 30)}
    write_index(tmp_path, an_index([[(members, 2.5)] * 100] * 50))
    tracemalloc.start()
    dataset = ShardDataset([tmp_path])
    kept = tracemalloc.get_traced_memory()[0] / len(dataset)
    tracemalloc.stop()
    assert kept < 400  # bytes per sample, a quarter of them these long keys; as objects it is five thousand


def test_metadata_of_shards_that_were_replaced_meanwhile_are_refused(tmp_path: Path) -> None:
    write_index(tmp_path, an_index([[({}, 1.0)]]))
    dataset = ShardDataset([tmp_path])
    assert [one.key for one in dataset.utterances] == ["k0_0"]
    write_index(tmp_path, read_index(tmp_path).model_copy(update={"dataset_id": "y"}))
    with pytest.raises(UserError, match="packed again"):
        _ = dataset.utterances


def test_a_table_of_nothing_is_empty() -> None:
    assert len(SampleTable([], [])) == 0 and SampleTable([], []).holders() == {}
