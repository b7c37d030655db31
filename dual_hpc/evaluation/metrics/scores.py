"""All registered metrics of one set of answers, what each class contributes, and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dual_hpc.evaluation.metrics.confusion import confusion_matrix, ratio
from dual_hpc.evaluation.metrics.metric import METRICS, Array


@dataclass(frozen=True)
class Scores:
    """Scores over `count` utterances.

    Attributes:
        values: metric -> value, of the metrics that could be computed.
        precision, recall, f1: float64 [C]; 0 where undefined.
        support: int64 [C], utterances of each class.
        confusion: int64 [C, C], rows are the truth, columns the prediction.
        never_predicted: classes that occur in the truth and were never answered.
    """

    count: int
    values: Mapping[str, float]
    precision: Array
    recall: Array
    f1: Array
    support: Array
    confusion: Array
    never_predicted: tuple[int, ...]

    def to_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """Plain data with the classes' names."""
        return {
            "count": self.count,
            **self.values,
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


def scores(
    y_true: Sequence[int] | Array,
    y_pred: Sequence[int] | Array,
    n_classes: int,
    probabilities: Array | None = None,
) -> Scores:
    """Every registered metric of one set of answers. No answers at all score 0.

    Args:
        probabilities: float32 [N, C]; without them metrics that need them are left out.
    """
    matrix = confusion_matrix(y_true, y_pred, n_classes)
    support, answers, hits = matrix.sum(1), matrix.sum(0), np.diag(matrix)
    return Scores(
        count=int(matrix.sum()),
        values=_values(matrix, np.asarray(y_true, dtype=np.int64), probabilities),
        precision=ratio(hits, answers),
        recall=ratio(hits, support),
        f1=ratio(2 * hits, support + answers),
        support=support,
        confusion=matrix,
        never_predicted=tuple(int(c) for c in np.flatnonzero((support > 0) & (answers == 0))),
    )


def _values(matrix: Array, truth: Array, probabilities: Array | None) -> dict[str, float]:
    values = {}
    for name in METRICS:
        metric = METRICS.get(name)
        if metric.of_confusion is not None:
            values[name] = float(metric.of_confusion(matrix[None])[0])
        elif metric.of_probabilities is not None and probabilities is not None:
            values[name] = float(metric.of_probabilities(truth, probabilities)) if truth.size else 0.0
    return values


def bootstrap(
    y_true: Sequence[int] | Array,
    y_pred: Sequence[int] | Array,
    clusters: Sequence[str],
    n_classes: int,
    probabilities: Array | None = None,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Percentile interval of each metric when whole clusters (dialogues) are drawn with replacement.

    Utterances of a dialogue are not independent, so drawing them singly would promise too narrow an interval.
    """
    truth, answer = np.asarray(y_true, dtype=np.int64), np.asarray(y_pred, dtype=np.int64)
    _, cluster = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    n_clusters = int(cluster.max()) + 1 if cluster.size else 0
    if not n_clusters:
        return dict.fromkeys(METRICS, (0.0, 0.0))
    cells = n_classes**2
    flat = np.bincount(cluster * cells + truth * n_classes + answer, minlength=n_clusters * cells)
    draws = np.random.default_rng(seed).multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=resamples)
    resampled = (draws @ flat.reshape(n_clusters, cells)).reshape(resamples, n_classes, n_classes)
    tail = 100 * (1 - level) / 2
    intervals = {}
    for name in METRICS:
        metric = METRICS.get(name)
        if metric.of_confusion is not None:
            values = metric.of_confusion(resampled)
        elif metric.of_probabilities is not None and probabilities is not None:
            rows = (np.repeat(np.arange(truth.size), draw[cluster]) for draw in draws)
            values = np.array([metric.of_probabilities(truth[drawn], probabilities[drawn]) for drawn in rows])
        else:
            continue
        intervals[name] = (float(np.percentile(values, tail)), float(np.percentile(values, 100 - tail)))
    return intervals
