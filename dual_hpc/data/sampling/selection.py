"""The samples that a split selects: slot 0, 1, ... in ascending number (see `sampler` for these words)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.bad_samples import BadSamples
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.decoder import Request
from dual_hpc.data.sampling.permutation import Indices
from dual_hpc.errors import UserError


class Selection:
    """Numbers, labels and durations by slot.

    Args:
        numbers: of samples in the set, more than once where they are read several times in an epoch; `labels` their
            classes, in the same order.

    Raises:
        UserError: nothing is selected.
    """

    def __init__(self, dataset: ShardDataset, numbers: Sequence[int] | Indices, labels: Sequence[int] | Indices):
        assert len(numbers) == len(labels), "one label per number"
        if not len(numbers):
            raise UserError("data.protocol: no sample of data.shards belongs to this split; see `dual-hpc inspect`")
        self._table = dataset.table
        ascending = np.argsort(np.asarray(numbers, np.int64), kind="stable")
        self.numbers: Indices = np.asarray(numbers, np.int64)[ascending]
        self.labels: Indices = np.asarray(labels, np.int64)[ascending]
        self.durations: NDArray[np.float32] = self._table.durations(self.numbers).astype(np.float32)

    def __len__(self) -> int:
        return len(self.numbers)

    def shard_counts(self) -> Indices:
        """Selected samples of each shard."""
        return self._table.counts(self.numbers)

    def request(self, slot: int, epoch: int, bad_samples: BadSamples) -> Request:
        """What to ask a worker for."""
        number = int(self.numbers[slot])
        return Request(self._table.ref(number), int(self.labels[slot]), epoch, bad_samples.failures_of(number))
