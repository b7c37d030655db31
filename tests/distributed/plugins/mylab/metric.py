"""A metric: the share of wrong answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from dual_hpc.evaluation.metrics.metric import METRICS, Metric


def error_rate(confusion: Any) -> Any:
    """Confusion matrices int64 [N, C, C] -> float64 [N]."""
    right = np.trace(confusion, axis1=1, axis2=2)
    return 1 - right / np.maximum(confusion.sum(axis=(1, 2)), 1)


METRICS.register("error_rate", Metric("error rate", of_confusion=error_rate, higher_is_better=False))
