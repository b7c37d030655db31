"""Optional: samples of similar length meet in one batch, and each epoch still holds every sample exactly once.

The stream is cut into pools of `POOL` global batches, and at the ends of epochs. Inside a pool samples are sorted by
duration, cut into slices as long as the batches (a batch that straddles two pools gets a slice of each), and the slices
are given to the batches in a shuffled order. All of it follows from the sampler's order, so a position is still enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.keys import key_of
from dual_hpc.data.sampling.permutation import Indices, shuffled
from dual_hpc.data.sampling.sampler import StreamSampler

POOL = 32  # global batches


class BucketedSampler:
    """A `StreamSampler` with its positions exchanged inside pools.

    Args:
        durations: seconds of each slot.
        identity: of data and selection; with the seed it decides which batch gets which slice.
    """

    def __init__(
        self, sampler: StreamSampler, durations: NDArray[np.float32], global_batch: int, identity: str, seed: int
    ):
        assert len(durations) == len(sampler)
        self._sampler, self._durations, self._batch = sampler, durations, global_batch
        self._key = key_of(identity, seed, "buckets")
        self._segment = lru_cache(maxsize=4)(self._arrange)

    def __len__(self) -> int:
        """Samples per epoch."""
        return len(self._sampler)

    @property
    def order_version(self) -> int:
        """As for `StreamSampler`."""
        return self._sampler.order_version

    def locate(self, positions: Indices) -> tuple[Indices, Indices]:
        """Epoch and slot of each position."""
        span = POOL * self._batch
        starts = np.maximum(positions // span * span, positions // len(self) * len(self))
        slots = np.empty_like(positions)
        for start in np.unique(starts).tolist():
            chosen = starts == start
            slots[chosen] = self._segment(start)[positions[chosen] - start]
        return positions // len(self), slots

    def _arrange(self, start: int) -> Indices:
        """Slots of the segment that begins at position `start`."""
        span = POOL * self._batch
        end = min((start // span + 1) * span, (start // len(self) + 1) * len(self))
        _, slots = self._sampler.locate(np.arange(start, end, dtype=np.int64))
        slots = slots[np.argsort(self._durations[slots], kind="stable")]
        first_cut = (start // self._batch + 1) * self._batch
        bounds = np.array([start, *range(first_cut, end, self._batch), end]) - start
        arranged = np.empty_like(slots)
        taken = 0
        for batch in shuffled(len(bounds) - 1, key_of(self._key, start)).tolist():
            size = int(bounds[batch + 1] - bounds[batch])
            arranged[bounds[batch] : bounds[batch + 1]] = slots[taken : taken + size]
            taken += size
        return arranged


def padding_waste(durations: Sequence[NDArray[np.floating]]) -> float:
    """Share of padding in micro-batches padded to their longest row, 0..1; one array of seconds per micro-batch."""
    padded = sum(float(d.max(initial=0)) * len(d) for d in durations)
    return 1 - sum(float(d.sum()) for d in durations) / padded if padded else 0.0
