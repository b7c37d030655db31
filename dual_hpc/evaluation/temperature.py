"""Temperature scaling: one number that makes a model as sure as it is right, fitted on answers that are known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.model.confidence import Confidence, scaled

_COLDEST, _HOTTEST = 0.05, 20.0
_STEPS = 80  # of the search: each leaves 0.62 of the interval
_POINTS = 100  # of the curve that is kept


def fit_temperature(found: Predictions) -> float:
    """T with the least negative log likelihood of the true classes under softmax(log p / T), between 0.05 and 20.

    The likelihood is concave in 1 / T, so a golden-section search finds it.
    """

    def loss(inverse: float) -> float:
        chosen = scaled(found.probabilities, 1 / inverse)[np.arange(len(found.truth)), found.truth]
        return float(-np.log(np.maximum(chosen, 1e-300)).mean())

    low, high, ratio = 1 / _HOTTEST, 1 / _COLDEST, (5**0.5 - 1) / 2
    for _ in range(_STEPS):
        one, other = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, other) if loss(one) < loss(other) else (one, high)
    return 2 / (low + high)


def confidence_in(answers: Mapping[str, Predictions]) -> Confidence | None:
    """Of the subset with the most modalities, subset -> answers; None without any, or of a model that has diverged."""
    subset = max(answers, key=len)
    found = answers[subset]
    known = found.truth >= 0
    if not known.any() or not np.isfinite(found.probabilities).all():
        return None
    keys = [key for key, is_known in zip(found.keys, known, strict=True) if is_known]
    return measure_confidence(Predictions(keys, found.truth[known], found.probabilities[known]), subset)


def measure_confidence(found: Predictions, subset: str) -> Confidence:
    """Temperature, and the share of wrong answers among the surest, of at least one known answer."""
    temperature = fit_temperature(found)
    sure = scaled(found.probabilities, temperature).max(axis=1)
    order = np.argsort(-sure, kind="stable")
    wrong = np.cumsum((found.answers != found.truth)[order]) / np.arange(1, len(order) + 1)
    last = np.append(np.flatnonzero(np.diff(sure[order])), len(order) - 1)  # equal confidence is kept or left together
    kept = last[np.unique(np.linspace(0, len(last) - 1, _POINTS).round().astype(int))]
    return Confidence(
        temperature=temperature,
        thresholds=sure[order][kept].tolist(),
        risks=wrong[kept].tolist(),
        count=len(order),
        subset=subset,
    )
