"""What answering without looking scores. The rule: trivial baselines are part of every table of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dual_hpc.evaluation.metrics import scores

_DRAWS = 200


def majority(train_counts: Sequence[int], truth: npt.NDArray[np.int64]) -> Mapping[str, float]:
    """Scores of always answering the most frequent class of the training split."""
    answer = np.full(truth.shape, int(np.argmax(train_counts)), dtype=np.int64)
    return scores(truth, answer, len(train_counts)).values


def class_prior(train_counts: Sequence[int], truth: npt.NDArray[np.int64], seed: int = 0) -> dict[str, float]:
    """Mean scores of answers drawn at random from the training split's class frequencies."""
    counts = np.asarray(train_counts, dtype=np.float64)
    rng = np.random.default_rng(seed)
    draws = rng.choice(len(counts), size=(_DRAWS, len(truth)), p=counts / counts.sum())
    found = [scores(truth, draw, len(counts)).values for draw in draws]
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}
