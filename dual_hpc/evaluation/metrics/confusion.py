"""Metrics of a confusion matrix.

Names follow the field: WA (weighted accuracy) is plain accuracy, UA (unweighted average recall) the mean of the recalls
of the classes that occur. Both F1 averages run over the classes that occur in truth or prediction. These are
scikit-learn's `accuracy_score`, `balanced_accuracy_score` and `f1_score`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dual_hpc.evaluation.metrics.metric import Array, Metric


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


def ratio(numerator: Array, denominator: Array) -> Array:
    """Element by element; 0 where the denominator is."""
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape, dtype=np.float64), where=denominator != 0)


def _accuracy(matrices: Array) -> Array:
    return ratio(_hits(matrices).sum(1), matrices.sum(2).sum(1))


def _average_recall(matrices: Array) -> Array:
    support = matrices.sum(2)
    return ratio(ratio(_hits(matrices), support).sum(1), (support > 0).sum(1))


def _weighted_f1(matrices: Array) -> Array:
    support = matrices.sum(2)
    return ratio((_f1(matrices) * support).sum(1), support.sum(1))


def _macro_f1(matrices: Array) -> Array:
    return ratio(_f1(matrices).sum(1), ((matrices.sum(2) + matrices.sum(1)) > 0).sum(1))


def _hits(matrices: Array) -> Array:
    return np.einsum("ncc->nc", matrices)


def _f1(matrices: Array) -> Array:
    return ratio(2 * _hits(matrices), matrices.sum(2) + matrices.sum(1))


WA = Metric("WA", _accuracy, curves=False)
UA = Metric("UA", _average_recall)
WEIGHTED_F1 = Metric("weighted F1", _weighted_f1, short="wF1", curves=False)
MACRO_F1 = Metric("macro F1", _macro_f1, short="mF1", curves=False)
