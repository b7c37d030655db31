"""Scores of a classification, from its confusion matrix, and their bootstrap interval clustered by dialogue.

Names follow the field: WA (weighted accuracy) is plain accuracy, UA (unweighted average recall) the mean of the recalls
of the classes that occur. Both F1 averages run over the classes that occur in truth or prediction. These are
scikit-learn's `accuracy_score`, `balanced_accuracy_score` and `f1_score`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
MAIN = ("wa", "ua", "weighted_f1", "macro_f1")


@dataclass(frozen=True)
class Scores:
    """Scores in [0, 1] over `count` utterances.

    Attributes:
        precision, recall, f1: float64 [C]; 0 where undefined.
        support: int64 [C], utterances of each class.
        confusion: int64 [C, C], rows are the truth, columns the prediction.
        never_predicted: classes that occur in the truth and were never answered.
    """

    count: int
    wa: float
    ua: float
    weighted_f1: float
    macro_f1: float
    precision: Array
    recall: Array
    f1: Array
    support: Array
    confusion: Array
    never_predicted: tuple[int, ...]

    def main(self) -> dict[str, float]:
        """The four headline scores by name."""
        return {name: getattr(self, name) for name in MAIN}

    def to_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """Plain data with the classes' names."""
        return {
            "count": self.count,
            **self.main(),
            "per_class": {
                name: {
                    "precision": float(self.precision[c]),
                    "recall": float(self.recall[c]),
                    "f1": float(self.f1[c]),
                    "support": int(self.support[c]),
                }
                for c, name in enumerate(classes)
            },
            "confusion": self.confusion.tolist(),
            "never_predicted": [classes[c] for c in self.never_predicted],
        }


def confusion_matrix(y_true: Sequence[int] | Array, y_pred: Sequence[int] | Array, n_classes: int) -> Array:
    """int64 [C, C]; rows are the truth.

    Raises:
        ValueError: lengths differ or a class number lies outside 0..C-1.
    """
    truth, answer = np.asarray(y_true, dtype=np.int64), np.asarray(y_pred, dtype=np.int64)
    if truth.shape != answer.shape or truth.ndim != 1:
        raise ValueError(f"y_true and y_pred must be two lists of one length, got {truth.shape} and {answer.shape}")
    both = np.concatenate([truth, answer])
    if both.size and (both.min() < 0 or both.max() >= n_classes):
        raise ValueError(f"class numbers must lie in 0..{n_classes - 1}, got {both.min()}..{both.max()}")
    return np.bincount(truth * n_classes + answer, minlength=n_classes**2).reshape(n_classes, n_classes)


def scores(y_true: Sequence[int] | Array, y_pred: Sequence[int] | Array, n_classes: int) -> Scores:
    """All scores of one set of answers. No answers at all score 0."""
    matrix = confusion_matrix(y_true, y_pred, n_classes)
    main = _main_scores(matrix[None])
    support, answers, hits = matrix.sum(1), matrix.sum(0), np.diag(matrix)
    return Scores(
        count=int(matrix.sum()),
        **{name: float(values[0]) for name, values in main.items()},
        precision=_ratio(hits, answers),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, support + answers),
        support=support,
        confusion=matrix,
        never_predicted=tuple(int(c) for c in np.flatnonzero((support > 0) & (answers == 0))),
    )


def bootstrap(
    y_true: Sequence[int] | Array,
    y_pred: Sequence[int] | Array,
    clusters: Sequence[str],
    n_classes: int,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Percentile interval of each headline score when whole clusters (dialogues) are drawn with replacement.

    Utterances of a dialogue are not independent, so drawing them singly would promise too narrow an interval.
    """
    truth, answer = np.asarray(y_true, dtype=np.int64), np.asarray(y_pred, dtype=np.int64)
    _, cluster = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    n_clusters = int(cluster.max()) + 1 if cluster.size else 0
    if not n_clusters:
        return dict.fromkeys(MAIN, (0.0, 0.0))
    cells = n_classes**2
    flat = np.bincount(cluster * cells + truth * n_classes + answer, minlength=n_clusters * cells)
    draws = np.random.default_rng(seed).multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=resamples)
    resampled = (draws @ flat.reshape(n_clusters, cells)).reshape(resamples, n_classes, n_classes)
    tail = 100 * (1 - level) / 2
    return {
        name: (float(np.percentile(values, tail)), float(np.percentile(values, 100 - tail)))
        for name, values in _main_scores(resampled).items()
    }


def _main_scores(matrices: Array) -> Mapping[str, Array]:
    """Headline scores of confusion matrices [N, C, C], each float64 [N]."""
    support, answers = matrices.sum(2), matrices.sum(1)
    hits = np.einsum("ncc->nc", matrices)
    total = support.sum(1)
    f1 = _ratio(2 * hits, support + answers)
    return {
        "wa": _ratio(hits.sum(1), total),
        "ua": _ratio(_ratio(hits, support).sum(1), (support > 0).sum(1)),
        "weighted_f1": _ratio((f1 * support).sum(1), total),
        "macro_f1": _ratio(f1.sum(1), ((support + answers) > 0).sum(1)),
    }


def _ratio(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape, dtype=np.float64), where=denominator != 0)
