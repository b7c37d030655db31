"""How near a model's valence, arousal and dominance are to what the corpus gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dual_hpc.evaluation.dimensions import Values, concordance, concordance_of_sums, known_values, moments
from dual_hpc.evaluation.predictions import Predictions

_DRAWS = 1000


@dataclass(frozen=True)
class DimensionScores:
    """Of one dimension, over the utterances of which it is known.

    Attributes:
        values: "ccc" (-1..1, higher is better), "mae" (in units of the corpus, lower is better).
        interval: the same -> bounds of the 95 % bootstrap interval, clustered by dialogue.
    """

    count: int
    values: Mapping[str, float]
    interval: Mapping[str, tuple[float, float]]

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {"count": self.count, **self.values, "interval": {name: list(b) for name, b in self.interval.items()}}


def dimension_scores(
    found: Predictions,
    names: Sequence[str],
    truth: Mapping[str, Sequence[float | None]],
    dialogues: Mapping[str, str],
) -> dict[str, DimensionScores]:
    """Scores by dimension, of those that one of the utterances has; empty of a model without dimensions.

    Args:
        names: of the columns of `found.dimensions`.
        truth: key -> values.
        dialogues: key -> cluster of the bootstrap.
    """
    if found.dimensions is None:
        return {}
    values = known_values(found.keys, truth, len(names))
    _, cluster_of = np.unique([dialogues[key] for key in found.keys], return_inverse=True)
    scored = {}
    for number, name in enumerate(names):
        known = np.isfinite(values[:, number])
        if known.any():
            answers = found.dimensions[known, number].astype(np.float64)
            scored[name] = _scores(values[known, number], answers, cluster_of[known])
    return scored


def mean_concordance(found: Predictions, truth: Mapping[str, Sequence[float | None]]) -> float:
    """The mean over the dimensions; of one without a known value 0, as of an answer that never changes."""
    assert found.dimensions is not None, "asked of a model without dimensions"
    values = known_values(found.keys, truth, found.dimensions.shape[1])
    each = []
    for wanted, answers in zip(values.T, found.dimensions.T, strict=True):
        known = np.isfinite(wanted)
        each.append(concordance(wanted[known], answers[known]) if known.any() else 0.0)
    return float(np.mean(each))


def _scores(truth: Values, answers: Values, cluster: np.ndarray) -> DimensionScores:
    _, cluster = np.unique(cluster, return_inverse=True)
    count = int(cluster.max()) + 1
    each = np.concatenate([moments(truth, answers), np.abs(truth - answers)[:, None]], axis=1)
    sums = np.zeros((count, each.shape[1]))
    np.add.at(sums, cluster, each)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=_DRAWS) @ sums
    whole = sums.sum(axis=0)

    def both(some: Values) -> dict[str, Values]:
        return {"ccc": concordance_of_sums(some[..., :6]), "mae": some[..., 6] / some[..., 0]}

    bounds = {name: np.percentile(values, (2.5, 97.5)) for name, values in both(drawn).items()}
    return DimensionScores(
        len(truth),
        {name: float(value) for name, value in both(whole).items()},
        {name: (float(low), float(high)) for name, (low, high) in bounds.items()},
    )
