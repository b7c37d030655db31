"""The order of samples: exact in every epoch, elastic over ranks, local in its reads, cheap at any size."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.sampling.batching import BatchPartition, divisors, evaluation_batches
from dual_hpc.data.sampling.bucketing import BucketedSampler
from dual_hpc.data.sampling.sampler import StreamSampler

COUNTS = st.lists(st.integers(0, 12), min_size=1, max_size=12).filter(any)


def stream(sampler: Any, positions: Any) -> list[tuple[int, int]]:
    epochs, slots = sampler.locate(np.asarray(positions, np.int64))
    return list(zip(epochs.tolist(), slots.tolist(), strict=True))


def a_sampler(counts: Any, window: Any, global_batch: Any, bucketed: bool, seed: int = 0) -> Any:
    sampler = StreamSampler(counts, window, "id", seed)
    if not bucketed:
        return sampler
    durations = np.random.default_rng(1).lognormal(1, 0.6, len(sampler)).astype(np.float32)
    return BucketedSampler(sampler, durations, global_batch, "id", seed)


@given(COUNTS, st.integers(1, 5), st.integers(1, 24), st.booleans())
def test_every_epoch_is_a_permutation_also_when_batches_straddle(
    counts: Any, window: int, global_batch: int, bucketed: bool
) -> None:
    sampler = a_sampler(counts, window, global_batch, bucketed)
    n = len(sampler)
    for epoch in range(3):
        assert sorted(stream(sampler, range(epoch * n, (epoch + 1) * n))) == [(epoch, slot) for slot in range(n)]


@given(COUNTS, st.integers(1, 5), st.sampled_from([1, 2, 3, 4, 6, 8, 12, 24]), st.booleans(), st.data())
def test_global_batches_after_a_stop_are_those_of_the_uninterrupted_run(
    counts: Any, window: int, batch: Any, bucketed: bool, data: st.DataObject
) -> None:
    worlds = st.sampled_from(divisors(batch))
    before, after = data.draw(worlds), data.draw(worlds)
    micro, stop, steps = data.draw(st.integers(1, 8)), data.draw(st.integers(0, 12)), 14
    whole_sampler = a_sampler(counts, window, batch, bucketed)
    whole = [sorted(stream(whole_sampler, range(s * batch, (s + 1) * batch))) for s in range(steps)]
    seen = []
    for world, first, last in ((before, 0, stop), (after, stop, steps)):
        sampler = a_sampler(counts, window, batch, bucketed)  # nothing is carried over but the position
        partition = BatchPartition(batch, world, micro)
        for step in range(first, last):
            shares = [partition.positions(step * batch, rank) for rank in range(world)]
            assert {len(share) for share in shares} == {partition.micro_batches}
            assert {len(positions) for share in shares for positions in share} == {partition.micro_size}
            assert partition.micro_size <= micro
            seen.append(
                sorted(sample for share in shares for positions in share for sample in stream(sampler, positions))
            )
    assert seen == whole


def test_data_set_seed_and_epoch_each_change_the_order() -> None:
    def of(identity: Any, seed: Any, epoch: Any) -> Any:
        sampler = StreamSampler([20] * 10, 3, identity, seed)
        return tuple(slot for _, slot in stream(sampler, range(epoch * 200, epoch * 200 + 200)))

    assert len({of("a", 0, 0), of("b", 0, 0), of("a", 1, 0), of("a", 0, 1)}) == 4
    assert of("a", 0, 1) == of("a", 0, 1)


def test_reads_stay_within_a_window_of_shards() -> None:
    sampler = StreamSampler([50] * 40, 4, "id", 0)
    slots = sampler.locate(np.arange(2000))[1]
    for start in range(0, 2000, 200):
        assert len(set((slots[start : start + 200] // 50).tolist())) == 4


def test_a_window_of_all_shards_shuffles_like_a_full_permutation_and_a_small_one_less() -> None:
    # The hardest data: shards sorted by class. Measure: how much the share of class 0 varies between batches,
    # relative to a full permutation (1 = as good; batches of one shard only would be 32 times as bad).
    shards, per_shard, batch = 64, 200, 32
    n = shards * per_shard
    is_zero = np.arange(n) < n // 2

    def spread(slots: Any) -> Any:
        return is_zero[slots].reshape(-1, batch).mean(1).var()

    full = np.mean([spread(np.random.default_rng(s).permutation(n)) for s in range(8)])

    def quality(window: Any) -> Any:
        samplers = [StreamSampler([per_shard] * shards, window, "id", seed) for seed in range(8)]
        return np.mean([spread(sampler.locate(np.arange(n))[1]) for sampler in samplers])

    assert 0.85 < quality(64) / full < 1.15
    ratios = [quality(window) / full for window in (1, 8, 64)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 25 and ratios[1] < 6  # a window of 8: 1/8 of a single shard's share plus sampling


def test_a_thousand_million_samples_are_ordered_and_sought_on_a_laptop() -> None:
    counts = np.random.default_rng(0).integers(5_000, 15_000, 100_000)
    counts[-1] += 10**9 - counts.sum()
    tracemalloc.start()
    begin = time.process_time()
    sampler = StreamSampler(counts, 8, "id", 0)
    epochs, slots = sampler.locate(np.array([0, 1, 10**9 - 1, 10**9, 7 * 10**11 + 5]))
    seconds = time.process_time() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert epochs.tolist() == [0, 0, 0, 1, 700] and ((slots >= 0) & (slots < 10**9)).all()
    assert peak < 50e6  # the index of slots alone would be 8 GB
    assert seconds < 5
    window = sampler.locate(np.arange(500_000_000, 500_004_096))[1]
    assert len(np.unique(window)) == 4096


def test_seeking_to_step_a_million_costs_what_step_zero_costs() -> None:
    counts = [100] * 2000

    def seconds(step: int) -> float:
        best = []
        for _ in range(5):
            begin = time.process_time()
            StreamSampler(counts, 8, "id", 0).locate(np.arange(step * 256, (step + 1) * 256))
            best.append(time.process_time() - begin)
        return min(best)

    assert seconds(10**6) <= 1.2 * seconds(0) + 0.002


def test_a_world_that_does_not_divide_is_refused_with_the_divisors() -> None:
    with pytest.raises(ValueError, match=r"data\.global_batch=12 .*5 ranks.* 1, 2, 3, 4, 6, 12"):
        BatchPartition(12, 5, 4)


@pytest.mark.parametrize("bucketed", [False, True])
def test_bucketing_removes_most_padding(bucketed: bool) -> None:
    n, batch = 12_800, 32
    durations = np.random.default_rng(0).lognormal(1, 0.7, n).astype(np.float32)
    sampler = StreamSampler([100] * 128, 8, "id", 0)
    if bucketed:
        sampler = BucketedSampler(sampler, durations, batch, "id", 0)
    from dual_hpc.data.sampling.bucketing import padding_waste

    slots = sampler.locate(np.arange(n))[1].reshape(-1, batch)
    waste = padding_waste(list(durations[slots].reshape(-1, 8)))
    assert waste < 0.08 if bucketed else waste > 0.4


def test_bucketed_batches_do_not_come_in_order_of_length() -> None:
    n, batch = 12_800, 32
    durations = np.random.default_rng(0).lognormal(1, 0.7, n).astype(np.float32)
    sampler = BucketedSampler(StreamSampler([100] * 128, 8, "id", 0), durations, batch, "id", 0)
    means = durations[sampler.locate(np.arange(n))[1].reshape(-1, batch)].mean(1)
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.2


@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 5))
def test_an_evaluation_covers_each_sample_once_on_any_number_of_ranks_also_more_than_samples(
    count: int, world: int, batch: int
) -> None:
    ranks = [evaluation_batches(count, rank, world, batch) for rank in range(world)]
    assert len({len(batches) for batches in ranks}) == 1
    assert all(len(indices) + padding == batch for batches in ranks for indices, padding in batches)
    assert sorted(i for batches in ranks for indices, _ in batches for i in indices.tolist()) == list(range(count))


@pytest.mark.parametrize(
    "batch, world, micro, better",
    [
        (34, 2, 8, "32 or 48"),
        (14, 2, 4, "8 or 16"),
        (32, 2, 8, None),
        (24, 2, 8, None),
        (4, 2, 8, None),
        (1, 1, 8, None),
    ],
)
def test_a_share_without_a_divisor_near_the_micro_batch_is_advised_against(
    batch: int, world: int, micro: int, better: str | None
) -> None:
    advice = BatchPartition(batch, world, micro).advice
    assert (
        advice is None if better is None else f"data.global_batch={batch} " in str(advice) and advice.endswith(better)
    )
