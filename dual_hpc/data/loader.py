"""Batches for training and evaluation: exact, elastic, the same on any number of ranks and workers."""

from __future__ import annotations

import copy
import hashlib
import itertools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dual_hpc.data.bad_samples import BadSamples
from dual_hpc.data.batch import Batch, SoftLabels, to_batch
from dual_hpc.data.collate import MicroBatch
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.decoder import DecodeConfig, Request
from dual_hpc.data.decoding.decoder_counts import DecoderCounts
from dual_hpc.data.feed import Feed
from dual_hpc.data.sampling.batching import BatchPartition, evaluation_batches
from dual_hpc.data.sampling.bucketing import BucketedSampler, padding_waste
from dual_hpc.data.sampling.sampler import StreamSampler
from dual_hpc.data.sampling.selection import Selection
from dual_hpc.data.settings import AugmentSettings, LoaderSettings
from dual_hpc.data.state import LoaderState, resume_position
from dual_hpc.data.tokenize import Tokenizer
from dual_hpc.data.workers.source import open_source

log = logging.getLogger(__name__)


class TrainLoader:
    """An endless stream of optimiser steps.

    Each has `accumulation` micro-batches: equally many, of equal size, on every rank. Iterating yields them as one list
    per step; `micro_batches` yields them one by one, so that a step begins with its first. A new iteration continues
    where the last one stopped, and ends it. `state_dict()` counts the steps that were yielded whole, not what is
    prepared ahead.

    Args:
        dataset: the data.
        numbers: selected samples; `labels` are their classes, in the same order.
        config: `DataConfig`.
        augment: `AugmentConfig`, or None.
        tokenizer: a transformers tokenizer; None leaves text out.
        seed: of the run.
        state: what `state_dict()` returned, on any number of ranks.
        device: where batches go; None leaves them in host memory.
        soft_labels: distributions that batches carry beside the classes.

    Raises:
        UserError: the state belongs to other data or another batch, or the ranks do not divide the global batch.
    """

    def __init__(
        self,
        dataset: ShardDataset,
        numbers: Sequence[int] | NDArray[np.int64],
        labels: Sequence[int] | NDArray[np.int64],
        config: LoaderSettings,
        augment: AugmentSettings | None,
        tokenizer: Tokenizer | None,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        state: dict[str, Any] | None = None,
        device: torch.device | None = None,
        soft_labels: SoftLabels | None = None,
    ):
        self._selection = Selection(dataset, numbers, labels)
        self._rank, self._seed = rank, seed
        self._partition = BatchPartition(config.global_batch, world_size, config.micro_batch)
        if rank == 0 and self._partition.advice is not None:
            log.warning(self._partition.advice)
        chosen = hashlib.sha256(self._selection.numbers.tobytes())
        chosen.update(f"{config.shuffle_window} {config.bucket_by_length}".encode())
        durations = None
        if config.bucket_by_length:  # the order then depends on what is cut at max_seconds
            durations = self._selection.durations.clip(max=config.max_seconds)
            chosen.update(durations.tobytes())
        self._identity = f"{dataset.dataset_id}:{chosen.hexdigest()[:16]}"
        sampler = StreamSampler(self._selection.shard_counts(), config.shuffle_window, self._identity, seed)
        self._sampler: StreamSampler | BucketedSampler = sampler
        if durations is not None:
            self._sampler = BucketedSampler(sampler, durations, config.global_batch, self._identity, seed)
        self._consumed = 0
        if state is not None:
            self._consumed = resume_position(state, self._state())
        self.bad_samples = BadSamples(config.bad_sample_limit)
        self.decoders = DecoderCounts()
        self._lengths: list[NDArray[np.float32]] = []  # of the last step's micro-batches
        token_drop = augment.token_drop_prob if augment is not None and augment.enabled else 0.0
        make = _batch_maker(tokenizer, config.max_tokens, token_drop, seed, soft_labels)
        decode_config = DecodeConfig(config, augment, seed, dataset.features())
        self._source = open_source(decode_config, config.workers, config.read_ahead)
        self._feed = Feed(self._source, make, device)

    def __len__(self) -> int:
        """Samples per epoch."""
        return len(self._selection)

    @property
    def accumulation(self) -> int:
        """Micro-batches of a step."""
        return self._partition.micro_batches

    @property
    def padding(self) -> float:
        """Share of padding in what this rank had of the last step, 0..1."""
        return padding_waste(self._lengths)

    def state_dict(self) -> dict[str, Any]:
        """The fields of `LoaderState`; equal on all ranks."""
        return self._state().to_dict()

    def __iter__(self) -> Iterator[list[Batch]]:
        micro_batches = self.micro_batches()
        while True:
            yield list(itertools.islice(micro_batches, self.accumulation))

    def micro_batches(self) -> Iterator[Batch]:
        """Endless: `accumulation` of them for each step; a step counts as consumed with its last."""
        arguments = (self._partition, self._rank, self._sampler, self._selection, self.bad_samples)
        made = self._feed.run(_requests(self._consumed, *arguments))
        while True:
            self.bad_samples.check()
            lengths = []
            for left in reversed(range(self.accumulation)):
                micro_batch, batch = next(made)
                self.bad_samples.extend(micro_batch)
                self.decoders.add(micro_batch.decoders)
                lengths.append(micro_batch.arrays["durations"])
                del micro_batch
                if not left:
                    self._lengths = lengths
                    self._consumed += self._partition.global_batch
                yield batch

    def close(self) -> None:
        """End the workers."""
        self._feed.close()

    def _state(self) -> LoaderState:
        return LoaderState(
            epoch=self._consumed // len(self),
            samples_consumed=self._consumed,
            seed=self._seed,
            dataset_id=self._identity,
            global_batch=self._partition.global_batch,
            order=self._sampler.order_version,
        )


def _requests(
    start: int,
    partition: BatchPartition,
    rank: int,
    sampler: StreamSampler | BucketedSampler,
    selection: Selection,
    bad_samples: BadSamples,
) -> Iterator[list[Request]]:
    """What a rank reads from position `start` on, by micro-batch. No method: the thread that asks for them must not
    keep a loader alive that nobody has closed."""
    while True:
        for positions in partition.positions(start, rank):
            epochs, slots = sampler.locate(positions)
            yield [
                selection.request(slot, epoch, bad_samples)
                for epoch, slot in zip(epochs.tolist(), slots.tolist(), strict=True)
            ]
        start += partition.global_batch


def _batch_maker(
    tokenizer: Tokenizer | None,
    max_tokens: int,
    token_drop_prob: float = 0.0,
    seed: int = 0,
    soft_labels: SoftLabels | None = None,
) -> Callable[[MicroBatch], Batch]:
    """`to_batch` with a tokenizer of its own: one of transformers cannot be used by two threads at once."""
    arguments = (copy.deepcopy(tokenizer), max_tokens, token_drop_prob, seed, soft_labels)
    return lambda micro_batch: to_batch(micro_batch, *arguments)


class EvalLoader:
    """Each selected sample exactly once over all ranks; every rank gets the same number of batches of the same size.

    Padding rows, which fill up the last batches, have `valid` False and an empty key; a sample that cannot be decoded
    has `valid` False and keeps its key. Samples come in ascending length, so little is padded. Each iteration
    starts from the beginning, and ends the one before.

    Args: as for `TrainLoader`; `batch_size` is rows per rank and batch; of a rank's batches those whose
    numbers are in `only` are read, in ascending order.
    """

    def __init__(
        self,
        dataset: ShardDataset,
        numbers: Sequence[int] | NDArray[np.int64],
        labels: Sequence[int] | NDArray[np.int64],
        config: LoaderSettings,
        tokenizer: Tokenizer | None,
        rank: int = 0,
        world_size: int = 1,
        batch_size: int | None = None,
        device: torch.device | None = None,
        only: Collection[int] | None = None,
    ):
        self._selection = Selection(dataset, numbers, labels)
        self._by_length = self._selection.durations.argsort(kind="stable")
        size = batch_size if batch_size is not None else config.micro_batch
        batches = evaluation_batches(len(self._selection), rank, world_size, size)
        self._batches = batches if only is None else [batches[number] for number in sorted(only)]
        self.bad_samples = BadSamples(config.bad_sample_limit)
        self.decoders = DecoderCounts()
        decode_config = DecodeConfig(config, features=dataset.features())
        self._source = open_source(decode_config, config.workers, config.read_ahead)
        self._feed = Feed(self._source, _batch_maker(tokenizer, config.max_tokens), device)

    def __len__(self) -> int:
        """Batches, the same on every rank."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        made = self._feed.run(_evaluation_requests(self._batches, self._selection, self._by_length, self.bad_samples))
        for micro_batch, batch in made:
            self.bad_samples.extend(micro_batch)
            self.decoders.add(micro_batch.decoders)
            self.bad_samples.check()
            del micro_batch
            yield batch

    def close(self) -> None:
        """End the workers."""
        self._feed.close()


def _evaluation_requests(
    batches: Iterable[tuple[Any, int]], selection: Selection, by_length: NDArray[np.int64], bad_samples: BadSamples
) -> Iterator[list[Request]]:
    for indices, padding_rows in batches:
        rows = [selection.request(slot, 0, bad_samples) for slot in by_length[indices].tolist()]
        yield rows + [Request(None)] * padding_rows
