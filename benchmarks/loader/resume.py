"""What it costs to begin far into a run, and how well a window of shards shuffles."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.loader.peers import BATCH, CONFIG
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.loader import TrainLoader
from dual_hpc.data.sampling.sampler import StreamSampler


def first_batch_seconds(folder: Path, step: int) -> float:
    """From opening the shards to the first batch at `step`; processor time, no workers."""
    begin = time.process_time()
    dataset = ShardDataset([folder / "shards"])
    numbers = range(len(dataset))
    config = CONFIG.model_copy(update={"workers": 0})
    state = TrainLoader(dataset, numbers, numbers, config, None, None, 0).state_dict()
    state |= {"samples_consumed": step * BATCH}
    next(iter(TrainLoader(dataset, numbers, numbers, config, None, None, 0, state=state)))
    return time.process_time() - begin


def resume_ratio(folder: Path, repeats: int = 7) -> tuple[float, float]:
    """Median seconds to the first batch at step 0 and at step 10^6, of blank features-free work: same samples count."""
    zero, far = [], []
    for _ in range(repeats):
        zero.append(first_batch_seconds(folder, 0))
        far.append(first_batch_seconds(folder, 10**6))
    return statistics.median(zero), statistics.median(far)


def shuffle_spread(window: int, shards: int = 64, per_shard: int = 200, batch: int = 32) -> float:
    """Variance over batches of the share of one class, shards sorted by class, relative to a full permutation."""
    n = shards * per_shard
    first = np.arange(n) < n // 2
    full = np.mean([_variance(first, np.random.default_rng(s).permutation(n), batch) for s in range(10)])
    slots = [StreamSampler([per_shard] * shards, window, "id", s).locate(np.arange(n))[1] for s in range(10)]
    return float(np.mean([_variance(first, order, batch) for order in slots]) / full)


def _variance(first: np.ndarray, slots: np.ndarray, batch: int) -> float:
    return float(first[slots].reshape(-1, batch).mean(1).var())
