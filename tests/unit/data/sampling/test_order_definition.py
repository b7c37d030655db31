"""The order of an epoch is what its definition says: brute force, in plain integers, with nothing but a sort."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.keys import key_of
from dual_hpc.data.sampling.sampler import EpochSampler, StreamSampler

WORD = 2**64


def keyed_hash(key: int, i: int) -> int:
    """splitmix64's i-th output (from 0) for the seed `key`."""
    z = (key + (i + 1) * 0x9E3779B97F4A7C15) % WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def by_hash(items: list[int], key: int) -> list[int]:
    return [items[i] for i in sorted(range(len(items)), key=lambda i: (keyed_hash(key, i), i))]


def defined_order(counts: list[int], window: int, identity: str, seed: int, epoch: int) -> list[int]:
    """Permute the shards, cut them into windows, permute the samples of each window whole."""
    key = key_of(identity, seed, epoch)
    shards = by_hash([shard for shard, count in enumerate(counts) if count], key_of(key, "shards"))
    order: list[int] = []
    for number, begin in enumerate(range(0, len(shards), window)):
        slots = [sum(counts[:s]) + k for s in shards[begin : begin + window] for k in range(counts[s])]
        order += by_hash(slots, key_of(key, number))
    return order


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(any),
    st.integers(1, 5),
    st.integers(0, 9),
    st.integers(0, 3),
    st.data(),
)
def test_any_places_in_any_sequence_have_the_slots_of_the_definition(
    counts: list[int], window: int, seed: int, epoch: int, data: st.DataObject
) -> None:
    order = defined_order(counts, window, "id", seed, epoch)
    places = data.draw(st.lists(st.integers(0, len(order) - 1), max_size=20))
    sampler = EpochSampler(np.array(counts), window, "id", seed, epoch)
    for asked in (places, places[::-1], range(len(order))):
        assert sampler.slots(np.array(asked, np.int64)).tolist() == [order[place] for place in asked]


@pytest.mark.parametrize("counts", [[2500], [900, 0, 1300, 700, 40, 2600]])
def test_also_in_windows_of_more_than_a_thousand_samples(counts: list[int]) -> None:
    order = defined_order(counts, 2, "id", 7, 1)
    assert EpochSampler(np.array(counts), 2, "id", 7, 1).slots(np.arange(sum(counts))).tolist() == order


def digest(counts: list[int], window: int, seed: int) -> str:
    slots = StreamSampler(counts, window, "id", seed).locate(np.arange(6000))[1]
    return hashlib.sha256(slots.astype("<i8").tobytes()).hexdigest()[:16]


def test_windows_of_at_most_1024_samples_have_the_order_of_version_1() -> None:
    # Golden: made by version 1, which permuted larger windows with a Feistel network.
    assert digest([50] * 40, 4, 0) == "8af72169f3b3a983"
    assert StreamSampler([50] * 40, 4, "id", 0).order_version == 1
    assert StreamSampler([512, 0, 512], 2, "id", 0).order_version == 1


def test_a_set_whose_windows_may_be_larger_has_an_order_of_version_2() -> None:
    counts = [0, 7, 300, 1, 724, 299]
    assert digest(counts, 3, 5) != "9d6d47e0fee64b31"  # version 1
    assert StreamSampler(counts, 3, "id", 5).order_version == 2
    assert StreamSampler([512, 513, 2, 2], 2, "id", 0).order_version == 2
