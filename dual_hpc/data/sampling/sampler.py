"""The order of samples: a pure function of (data set, seed, epoch) (contract 3).

In each epoch the shards are permuted and cut into windows of `window` shards; inside a window all samples are permuted.
Reads therefore stay within a few shards at a time. Looking up any position costs a binary search, and permuting its
window once; memory is two integers per shard and the last few windows, whatever the number of samples.

Four integers say which sample is meant, and each has one name here and everywhere:

    number    index of a sample in the data set: folders, shards and samples in the order of their indexes
    slot      index of a sample among those that the split selects, in ascending number: 0 .. n-1
    place     index within an epoch, 0 .. n-1: which slot is read there is what an epoch's order says
    position  index in the endless stream of training, 0, 1, 2, ...: position p is place p % n of epoch p // n;
              a run's progress is the number of positions consumed

`Selection` maps slot to number, `EpochSampler` place to slot, `StreamSampler` position to epoch and slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.keys import key_of
from dual_hpc.data.sampling.permutation import Indices, shuffled

_WINDOWS_KEPT = 4  # per epoch: a batch reads one window, or the end of one and the beginning of the next
_VERSION = 2  # of the order; to be raised with every change that gives some data set another order
_SMALL = 1024  # samples; version 1 permuted larger windows by another function


class EpochSampler:
    """One epoch: place -> slot, where slot counts the selected samples shard by shard.

    Args:
        counts: selected samples in each shard.
        window: shards that are shuffled together.
        identity: data set and selection; with seed and epoch, all that the order depends on.
    """

    def __init__(self, counts: NDArray[np.int64], window: int, identity: str, seed: int, epoch: int):
        self._key = key_of(identity, seed, epoch)
        starts = np.cumsum(counts) - counts
        used = np.flatnonzero(counts)  # empty shards would only make windows smaller
        shards = used[shuffled(len(used), key_of(self._key, "shards"))]
        self._shard_slot = starts[shards]
        self._shard_end = np.cumsum(counts[shards])  # in places of this epoch
        self._window_end = self._shard_end[np.r_[window - 1 : len(shards) - 1 : window, len(shards) - 1]]
        self._window_slots = lru_cache(maxsize=_WINDOWS_KEPT)(self._permute_window)

    def slots(self, places: Indices) -> Indices:
        """Slots of the places of this epoch, shape as given."""
        out = np.empty_like(places)
        windows = np.searchsorted(self._window_end, places, side="right")
        for window in np.unique(windows):
            chosen = windows == window
            out[chosen] = self._window_slots(int(window))[places[chosen] - self._first_place(window)]
        return out

    def _first_place(self, window: int) -> int:
        return int(self._window_end[window - 1]) if window else 0

    def _permute_window(self, window: int) -> Indices:
        """The slots of a window in the order in which they are read."""
        first = self._first_place(window)
        places = first + shuffled(int(self._window_end[window]) - first, key_of(self._key, window))
        shard = np.searchsorted(self._shard_end, places, side="right")
        shard_first = np.where(shard > 0, self._shard_end[shard - 1], 0)
        return self._shard_slot[shard] + places - shard_first


class StreamSampler:
    """The endless stream of training: position -> (epoch, slot)."""

    def __init__(self, counts: Sequence[int] | NDArray[np.int64], window: int, identity: str, seed: int):
        counts = np.asarray(counts, dtype=np.int64)
        self._total = int(counts.sum())
        self._largest_window = int(np.sort(counts)[-window:].sum())
        assert self._total > 0, "no samples to order"
        self._epoch = lru_cache(maxsize=2)(lambda epoch: EpochSampler(counts, window, identity, seed, epoch))

    def __len__(self) -> int:
        """Samples per epoch."""
        return self._total

    @property
    def order_version(self) -> int:
        """The oldest version of this code that orders these samples in the same way."""
        return 1 if self._largest_window <= _SMALL else _VERSION

    def locate(self, positions: Indices) -> tuple[Indices, Indices]:
        """Epoch and slot of each position."""
        epochs, places = np.divmod(positions, self._total)
        slots = np.empty_like(places)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            slots[chosen] = self._epoch(int(epoch)).slots(places[chosen])
        return epochs, slots
