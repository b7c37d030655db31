"""The measures of the table, computed for many draws of the dialogues at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dual_hpc.evaluation.comparison.counts import Counts
from dual_hpc.evaluation.metrics import METRICS
from dual_hpc.evaluation.metrics.confusion import ratio
from dual_hpc.evaluation.metrics.metric import Array
from dual_hpc.evaluation.tables import subset_name
from dual_hpc.evaluation.text_reliance import text_reliance

RELIANCE = "text reliance"
WORST = "worst speaker"
LOST, TURNED = "lost without text", "turned by misleading text"
MISLED = "UA with misleading text"


@dataclass(frozen=True)
class Measure:
    """A column of the table.

    Attributes:
        title: such as "UA", or the name of a class.
        subset: of the modalities; empty where it belongs to several.
        kind: metric, class (its F1), speaker (UA of the worst), or text.
        percent: shown in percent.
    """

    title: str
    subset: str = ""
    kind: str = "metric"
    percent: bool = True

    @property
    def heading(self) -> str:
        return f"{self.title} {subset_name(self.subset)}" if self.subset else self.title

    @property
    def lowest(self) -> bool:
        """Over several folds the lowest counts, not the mean."""
        return self.kind == "speaker"

    def format(self, value: float) -> str:
        return f"{100 * value:.1f}" if self.percent else f"{value:.3f}"


def measure_values(counts: Counts, weights: Array, classes: Sequence[str]) -> dict[Measure, Array]:
    """Every measure under N weightings of the dialogues.

    Args:
        weights: float64 [N, D], how often each dialogue was drawn.

    Returns:
        float64 [N] for each; measures that the predictions do not allow are left out.
    """
    values: dict[Measure, Array] = {}
    ua: dict[str, Array] = {}
    for subset, by_dialogue in counts.confusion.items():
        matrices = _sums(weights, by_dialogue)
        for name in METRICS:
            metric = METRICS.get(name)
            if metric.of_confusion is not None:
                values[Measure(metric.title, subset, percent=metric.percent)] = metric.of_confusion(matrices)
        ua[subset] = _ua(matrices)
        if counts.speakers[subset].shape[1]:
            values[Measure(WORST, subset, "speaker")] = _worst(_sums(weights, counts.speakers[subset]))
        f1 = ratio(2 * np.einsum("ncc->nc", matrices), matrices.sum(2) + matrices.sum(1))
        for number, name in enumerate(classes):
            values[Measure(name, subset, "class")] = f1[:, number]
    if counts.turned is not None and {"av", "avt"} <= ua.keys():
        changed = _sums(weights, counts.turned)
        turned = ratio(changed[:, 0], changed[:, 1])
        values[Measure(RELIANCE, kind="text")] = text_reliance(ua["av"], ua["avt"], turned)
        values[Measure(LOST, kind="text")] = np.where(ua["avt"] > 0, 1 - ratio(ua["av"], ua["avt"]), 0.0)
        values[Measure(TURNED, kind="text")] = turned
        if counts.misled is not None:
            values[Measure(MISLED, kind="text")] = _ua(_sums(weights, counts.misled))
    return values


def _sums(weights: Array, by_dialogue: Array) -> Array:
    flat = by_dialogue.reshape(len(by_dialogue), -1)
    return (weights @ flat).reshape(len(weights), *by_dialogue.shape[1:])


def _ua(matrices: Array) -> Array:
    metric = METRICS.get("ua")
    assert metric.of_confusion is not None
    return metric.of_confusion(matrices)


def _worst(matrices: Array) -> Array:
    """Confusion matrices by speaker, [N, S, C, C] -> the lowest UA of those that were drawn, [N]."""
    draws, speakers, classes, _ = matrices.shape
    ua = _ua(matrices.reshape(-1, classes, classes)).reshape(draws, speakers)
    return np.where(matrices.sum(axis=(2, 3)) > 0, ua, 1.0).min(axis=1)
