"""Which rank reads what: a global batch cut into equal shares for the ranks and equal micro-batches for each.

The global batch is fixed for a run; how many micro-batches a rank accumulates follows from the world size. Micro-batch
k of rank r is slice k * world + r of the global batch's consecutive positions, so neighbours in the order (which length
bucketing makes alike in duration) meet in one micro-batch and all ranks work on similar lengths at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dual_hpc.data.sampling.permutation import Indices
from dual_hpc.errors import UserError


def divisors(n: int) -> list[int]:
    """All divisors of n, ascending."""
    return [d for d in range(1, n + 1) if n % d == 0]


@dataclass(frozen=True)
class BatchPartition:
    """How one optimiser step is divided among ranks and micro-batches.

    Raises:
        UserError: the world size does not divide the global batch.
    """

    global_batch: int
    world_size: int
    micro_batch: int  # largest number of samples per rank and forward pass

    def __post_init__(self) -> None:
        if self.global_batch % self.world_size:
            allowed = ", ".join(map(str, divisors(self.global_batch)))
            raise UserError(
                f"data.global_batch={self.global_batch} cannot be divided equally among {self.world_size} ranks; "
                f"use a number of ranks out of {allowed}, or change the global batch before the run starts"
            )

    @property
    def micro_size(self) -> int:
        """Samples per micro-batch: the largest divisor of a rank's share within `micro_batch`."""
        return max(d for d in divisors(self.global_batch // self.world_size) if d <= self.micro_batch)

    @property
    def micro_batches(self) -> int:
        """Micro-batches that each rank accumulates per step."""
        return self.global_batch // self.world_size // self.micro_size

    @property
    def advice(self) -> str | None:
        """What to change if a rank's share has no divisor near `micro_batch`: its micro-batches are small and many."""
        share = self.global_batch // self.world_size
        if 2 * self.micro_size > min(share, self.micro_batch):
            return None
        unit = self.world_size * min(share, self.micro_batch)
        better = sorted({max(unit, self.global_batch // unit * unit), -(-self.global_batch // unit) * unit})
        return (
            f"data.global_batch={self.global_batch} leaves each of {self.world_size} ranks {share} samples per step, "
            f"in {self.micro_batches} micro-batches of {self.micro_size} (data.micro_batch={self.micro_batch}): slow; "
            f"better for a new run: {' or '.join(map(str, better))}"
        )

    def positions(self, start: int, rank: int) -> list[Indices]:
        """Stream positions of a rank's micro-batches in the global batch that begins at position `start`."""
        assert 0 <= rank < self.world_size
        positions = start + np.arange(self.global_batch, dtype=np.int64)
        return list(positions.reshape(self.micro_batches, self.world_size, -1)[:, rank])


def evaluation_batches(count: int, rank: int, world_size: int, batch_size: int) -> list[tuple[Indices, int]]:
    """A rank's batches of an evaluation over `count` samples: (positions in the evaluation, number of padding rows).

    Every position occurs once over all ranks and every rank gets the same number of batches, each of `batch_size` rows:
    padding rows fill up the last ones, so that collectives inside a forward pass stay in step.
    """
    batches = []
    for start in range(0, count, world_size * batch_size):
        first = min(start + rank * batch_size, count)
        last = min(first + batch_size, count)
        batches.append((np.arange(first, last, dtype=np.int64), batch_size - (last - first)))
    return batches
