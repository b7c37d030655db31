"""Batches that carry the distribution of the votes, and samples that are read several times in an epoch."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from dual_hpc.data.batch import SoftLabels
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.loader import TrainLoader
from dual_hpc.training.step import inputs
from tests.unit.data.conftest import settings


def test_each_row_has_the_votes_of_its_sample(folder: Path) -> None:
    dataset = ShardDataset([folder])
    numbers = np.arange(len(dataset), dtype=np.int64)
    shares = np.random.default_rng(0).dirichlet(np.ones(4), len(numbers)).astype(np.float32)
    of_key = {dataset.ref(n).key: shares[n] for n in numbers.tolist()}
    soft = SoftLabels(numbers, shares)
    loader = TrainLoader(dataset, numbers, numbers % 4, settings(), None, None, 3, soft_labels=soft)
    for batch in itertools.islice(loader.micro_batches(), 6):
        rows = [of_key[key] for key in batch["keys"]]
        assert batch["soft_labels"].dtype == torch.float32
        assert np.array_equal(batch["soft_labels"].numpy(), np.stack(rows))
        assert inputs(batch, (), torch.device("cpu"))["labels"] is not batch["labels"]


def test_a_sample_that_is_selected_thrice_is_read_thrice_in_an_epoch(folder: Path) -> None:
    dataset = ShardDataset([folder])
    numbers = np.repeat(np.arange(len(dataset)), [3 if n % 2 else 1 for n in range(len(dataset))])
    config = settings(global_batch=len(numbers), micro_batch=len(numbers))
    loader = TrainLoader(dataset, numbers, numbers % 4, config, None, None, 3)
    for step in itertools.islice(loader, 2):
        seen = Counter(key for batch in step for key in batch["keys"])
        assert {dataset.ref(n).key: 3 if n % 2 else 1 for n in range(len(dataset))} == dict(seen)
