"""The order of samples: what a rank keeps and computes, by the number of samples and of ranks."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np

from dual_hpc.data.sampling.batching import BatchPartition
from dual_hpc.data.sampling.sampler import StreamSampler

PER_SHARD = 2_000
WINDOW = 8  # shards, the default of data.shuffle_window
BATCHES = 50


def order(samples: int) -> dict[str, float]:
    """One rank's order of an epoch over `samples`: memory, time to make it, time per batch of 4,096 positions."""
    StreamSampler([1], WINDOW, "imports", seed=1).locate(np.zeros(1, np.int64))
    counts = np.full(-(-samples // PER_SHARD), PER_SHARD, np.int64)
    tracemalloc.start()
    begun = time.perf_counter()
    sampler = StreamSampler(counts, WINDOW, "scaling", seed=1)
    sampler.locate(np.zeros(1, np.int64))
    made = time.perf_counter() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    begun = time.perf_counter()
    for batch in range(BATCHES):
        sampler.locate(np.arange(batch * 4096, (batch + 1) * 4096, dtype=np.int64))
    return {"start, s": made, "batch, ms": (time.perf_counter() - begun) / BATCHES * 1e3, "memory, MiB": peak / 2**20}


def partition(ranks: int) -> dict[str, float]:
    """A rank's share of a step of 8 samples per rank, in microseconds; every position belongs to one rank."""
    plan = BatchPartition(8 * ranks, ranks, 8)
    begun = time.perf_counter()
    for step in range(200):
        plan.positions(step * plan.global_batch, ranks - 1)
    seconds = time.perf_counter() - begun
    taken = np.concatenate([np.concatenate(plan.positions(0, rank)) for rank in range(ranks)])
    assert np.array_equal(np.sort(taken), np.arange(plan.global_batch)), "a position without a rank, or with two"
    return {"step, us": seconds / 200 * 1e6}
