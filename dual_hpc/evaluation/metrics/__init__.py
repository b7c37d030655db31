"""Metrics by name, in the order in which tables show them.

A new one is a `Metric` and its entry below, or a plugin that calls `METRICS.register`: it is then part of every report,
of the robustness suite, of MLflow's metrics and of a sweep's table, and `training.select_by` may name it.
"""

from __future__ import annotations

from dual_hpc.evaluation.metrics.confusion import MACRO_F1, UA, WA, WEIGHTED_F1, confusion_matrix
from dual_hpc.evaluation.metrics.metric import LOSS, METRICS, OF_DIMENSIONS, VALIDATED, Metric, selecting_metric
from dual_hpc.evaluation.metrics.scores import Scores, bootstrap, scores

__all__ = [
    "HEADLINE",
    "LOSS",
    "METRICS",
    "OF_DIMENSIONS",
    "VALIDATED",
    "Metric",
    "Scores",
    "bootstrap",
    "confusion_matrix",
    "scores",
    "selecting_metric",
]

for _name, _metric in (("wa", WA), ("ua", UA), ("weighted_f1", WEIGHTED_F1), ("macro_f1", MACRO_F1)):
    METRICS.register(_name, _metric)

HEADLINE = "ua"  # where there is room for one number: captions and speakers
