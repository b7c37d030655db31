"""How near the probabilities that a model gives are to the distribution of the raters' votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.votes import DIVERGENCES

_DRAWS = 1000


@dataclass(frozen=True)
class VoteScores:
    """Over the utterances whose votes are known.

    Attributes:
        values: "jsd" (to base 2, 0..1), "kld" (nats) -> mean; lower is better.
        interval: the same -> bounds of the 95 % bootstrap interval, clustered by dialogue.
        one_hot: the same for answers that give all probability to the class of the label.
    """

    count: int
    values: Mapping[str, float]
    interval: Mapping[str, tuple[float, float]]
    one_hot: Mapping[str, float]

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        bounds = {name: list(found) for name, found in self.interval.items()}
        return {"count": self.count, **self.values, "interval": bounds, "one_hot": dict(self.one_hot)}


def vote_scores(
    found: Predictions, votes: Mapping[str, Sequence[float]], dialogues: Mapping[str, str]
) -> VoteScores | None:
    """Scores against the votes; None where no utterance has any.

    Args:
        votes: key -> share of each class.
        dialogues: key -> cluster of the bootstrap.
    """
    rows = [row for row, key in enumerate(found.keys) if key in votes]
    if not rows:
        return None
    truth = np.array([votes[found.keys[row]] for row in rows], np.float64)
    answers = found.probabilities[rows]
    _, cluster = np.unique([dialogues[found.keys[row]] for row in rows], return_inverse=True)
    clusters = int(cluster.max()) + 1
    draws = np.random.default_rng(0).multinomial(clusters, np.full(clusters, 1 / clusters), size=_DRAWS)
    sizes = draws @ np.bincount(cluster, minlength=clusters)
    labelled = np.eye(answers.shape[1])[found.truth[rows]]
    values: dict[str, float] = {}
    interval: dict[str, tuple[float, float]] = {}
    one_hot: dict[str, float] = {}
    for name, divergence in DIVERGENCES.items():
        each = divergence(truth, answers)
        drawn = draws @ np.bincount(cluster, each, clusters) / sizes
        values[name] = float(each.mean())
        interval[name] = (float(np.percentile(drawn, 2.5)), float(np.percentile(drawn, 97.5)))
        one_hot[name] = float(divergence(truth, labelled).mean())
    return VoteScores(len(rows), values, interval, one_hot)
