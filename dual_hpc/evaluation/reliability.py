"""How far a model's confidence can be relied on: among the answers given with 80 %, are 80 % right?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.palette import COLOURS
from dual_hpc.printable import picture_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Answers by their confidence, the probability of the class that was answered.

    Attributes:
        confidence, accuracy: [bins] means; NaN in bins without answers.
        count: int64 [bins].
        error: expected calibration error, the mean of |accuracy - confidence| over the answers.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]
    error: float


def reliability(found: Predictions, bins: int = BINS) -> Reliability:
    """Bins of equal width over [0, 1]."""
    confidence = found.probabilities.max(axis=1).astype(np.float64)
    right = (found.answers == found.truth).astype(np.float64)
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidence, bins) / count
        accuracy = np.bincount(place, right, bins) / count
    gaps = np.nan_to_num(np.abs(accuracy - mean)) * count
    return Reliability(mean, accuracy, count, float(gaps.sum() / max(1, len(confidence))))


def reliability_figure(subsets: Mapping[str, Predictions]) -> Figure:
    """Per subset of modalities: accuracy over confidence, the diagonal that a calibrated model follows, the counts."""
    from matplotlib.figure import Figure

    columns = max(1, len(subsets))
    figure = Figure(figsize=(3.6 * columns, 4.4), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False, sharex=True, height_ratios=(3, 1))
    edges = (np.arange(BINS) + 0.5) / BINS
    for column, (name, predictions) in enumerate(subsets.items()):
        found = reliability(predictions)
        upper, lower = axes[:, column]
        upper.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--", label="calibrated")
        upper.bar(edges, np.nan_to_num(found.accuracy), 0.9 / BINS, color=COLOURS[5], label="accuracy")
        upper.plot(found.confidence, found.accuracy, "o", color=COLOURS[0], ms=4, label="mean confidence")
        upper.set_title(f"{picture_text(name)}   ECE {100 * found.error:.1f} %", fontsize=10)
        upper.set_ylim(0, 1)
        upper.set_xlim(0, 1)
        lower.bar(edges, found.count, 0.9 / BINS, color=COLOURS[4])
        lower.set_xlabel("confidence", fontsize=9)
        for axis in (upper, lower):
            axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("share of right answers", fontsize=9)
    axes[1, 0].set_ylabel("answers", fontsize=9)
    axes[0, 0].legend(fontsize=7, frameon=False, loc="upper left")
    return figure
