"""Batches for training and evaluation: exact, elastic, the same on any number of ranks and workers."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.bad_samples import FaultList
from dual_hpc.data.batch import Batch, to_batch
from dual_hpc.data.collate import MicroBatch
from dual_hpc.data.dataset import ShardSet
from dual_hpc.data.decoding.decoder import Request, Setup
from dual_hpc.data.sampling.batching import BatchPlan, evaluation_places
from dual_hpc.data.sampling.bucketing import BucketedOrder, padding_waste
from dual_hpc.data.sampling.sampler import Order
from dual_hpc.data.sampling.selection import Selection
from dual_hpc.data.settings import AugmentSettings, LoaderSettings
from dual_hpc.data.state import LoaderState, resume_position
from dual_hpc.data.tokenize import Tokenizer
from dual_hpc.data.workers.source import open_source

log = logging.getLogger(__name__)


class TrainLoader:
    """An endless stream of optimiser steps.

    Iterating yields, per step, a list of micro-batches: equally many, of equal size, on every rank. A new iteration
    goes on where the last one stopped. `state_dict()` counts what was handed out, not what workers prepare ahead.

    Args:
        shard_set: the data.
        numbers: selected samples; `labels` are their classes, in the same order.
        config: `DataConfig`.
        augment: `AugmentConfig`, or None.
        tokenizer: a transformers tokenizer; None leaves text out.
        seed: of the run.
        state: what `state_dict()` returned, on any number of ranks.

    Raises:
        UserError: the state belongs to other data or another batch, or the ranks do not divide the global batch.
    """

    def __init__(
        self,
        shard_set: ShardSet,
        numbers: Sequence[int],
        labels: Sequence[int],
        config: LoaderSettings,
        augment: AugmentSettings | None,
        tokenizer: Tokenizer | None,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        state: dict[str, Any] | None = None,
    ):
        self._selection = Selection(shard_set, numbers, labels)
        self._tokenizer, self._max_tokens = tokenizer, config.max_tokens
        self._seed, self._rank = seed, rank
        self.plan = BatchPlan(config.global_batch, world_size, config.micro_batch)
        if rank == 0 and self.plan.advice is not None:
            log.warning(self.plan.advice)
        chosen = hashlib.sha256(self._selection.numbers.tobytes())
        chosen.update(f"{config.shuffle_window} {config.bucket_by_length}".encode())
        durations = None
        if config.bucket_by_length:  # the order then depends on what is cut at max_seconds
            durations = self._selection.durations.clip(max=config.max_seconds)
            chosen.update(durations.tobytes())
        self._identity = f"{shard_set.dataset_id}:{chosen.hexdigest()[:16]}"
        order = Order(self._selection.shard_counts(), config.shuffle_window, self._identity, seed)
        self._order: Order | BucketedOrder = order
        if durations is not None:
            self._order = BucketedOrder(order, durations, config.global_batch, self._identity, seed)
        self._consumed = 0
        if state is not None:
            self._consumed = resume_position(state, self._state())
        self.faults = FaultList(config.bad_sample_limit)
        self._token_drop = augment.token_drop_prob if augment is not None and augment.enabled else 0.0
        self._lengths: list[NDArray[np.float32]] = []  # of the last step's micro-batches
        setup = Setup(config, augment, seed, shard_set.features())
        self._source = open_source(setup, config.workers, config.read_ahead)

    def __len__(self) -> int:
        """Samples per epoch."""
        return len(self._selection)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps that touch the first epoch; the last of them may straddle into the second."""
        return self.steps(1)

    def steps(self, epochs: float) -> int:
        """Optimiser steps after which `epochs` passes over the data are complete."""
        return math.ceil(epochs * len(self) / self.plan.global_batch)

    @property
    def step(self) -> int:
        """Optimiser steps handed out since the start of the run."""
        return self._consumed // self.plan.global_batch

    @property
    def epoch(self) -> float:
        """Passes over the data handed out since the start of the run."""
        return self._consumed / len(self)

    @property
    def padding(self) -> float:
        """Share of padding in what this rank had of the last step, 0..1."""
        return padding_waste(self._lengths)

    def state_dict(self) -> dict[str, Any]:
        """{epoch, samples_consumed, seed, dataset_id, global_batch}; equal on all ranks."""
        return self._state().to_dict()

    def __iter__(self) -> Iterator[list[Batch]]:
        micro_batches = self._source.run(self._requests(self._consumed))
        while True:
            self.faults.check()
            yield self._step(micro_batches)

    def close(self) -> None:
        """End the workers."""
        self._source.close()

    def _step(self, micro_batches: Iterator[MicroBatch]) -> list[Batch]:
        self._lengths = []
        step = [self._finish(next(micro_batches)) for _ in range(self.plan.micro_batches)]
        self._consumed += self.plan.global_batch
        return step

    def _state(self) -> LoaderState:
        return LoaderState(
            epoch=self._consumed // len(self),
            samples_consumed=self._consumed,
            seed=self._seed,
            dataset_id=self._identity,
            global_batch=self.plan.global_batch,
        )

    def _requests(self, start: int) -> Iterator[list[Request]]:
        while True:
            for positions in self.plan.positions(start, self._rank):
                epochs, slots = self._order.locate(positions)
                yield [
                    self._selection.request(slot, epoch, self.faults)
                    for epoch, slot in zip(epochs.tolist(), slots.tolist(), strict=True)
                ]
            start += self.plan.global_batch

    def _finish(self, made: MicroBatch) -> Batch:
        self.faults.extend(made)
        self._lengths.append(made.arrays["durations"])
        return to_batch(made, self._tokenizer, self._max_tokens, self._token_drop, self._seed)


class EvalLoader:
    """Each selected sample exactly once over all ranks; every rank gets the same number of batches of the same size.

    Rows that only fill up the last batches have `valid` False and an empty key; a sample that cannot be decoded keeps
    its key and is not valid either. Samples come in ascending length, so little is padded. Iterating again starts over.

    Args: as for `TrainLoader`; `batch_size` is rows per rank and batch.
    """

    def __init__(
        self,
        shard_set: ShardSet,
        numbers: Sequence[int],
        labels: Sequence[int],
        config: LoaderSettings,
        tokenizer: Tokenizer | None,
        rank: int = 0,
        world_size: int = 1,
        batch_size: int | None = None,
    ):
        self._selection = Selection(shard_set, numbers, labels)
        self._by_length = self._selection.durations.argsort(kind="stable")
        self._tokenizer, self._max_tokens = tokenizer, config.max_tokens
        size = batch_size if batch_size is not None else config.micro_batch
        self._places = evaluation_places(len(self._selection), rank, world_size, size)
        self.faults = FaultList(config.bad_sample_limit)
        setup = Setup(config, features=shard_set.features())
        self._source = open_source(setup, config.workers, config.read_ahead)

    def __len__(self) -> int:
        """Batches, the same on every rank."""
        return len(self._places)

    def __iter__(self) -> Iterator[Batch]:
        for made in self._source.run(self._requests()):
            self.faults.extend(made)
            self.faults.check()
            yield to_batch(made, self._tokenizer, self._max_tokens)

    def close(self) -> None:
        """End the workers."""
        self._source.close()

    def _requests(self) -> Iterator[list[Request]]:
        for places, fillers in self._places:
            rows = [self._selection.request(slot, 0, self.faults) for slot in self._by_length[places].tolist()]
            yield rows + [Request(None)] * fillers
