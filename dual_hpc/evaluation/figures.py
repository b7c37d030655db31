"""Confusion matrices side by side, one per subset of modalities; made without pyplot (no global state, no display)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dual_hpc.evaluation.metrics import UA, WA, Scores
from dual_hpc.printable import picture_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def confusion_figure(results: Mapping[str, Scores], classes: Sequence[str]) -> Figure:
    """Colour is the share of the true class (its row); the count is written below the share."""
    from matplotlib.figure import Figure

    classes = [picture_text(name) for name in classes]
    side = max(3.6, 0.75 * len(classes) + 1.4)
    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(side * columns, (side + 0.2) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, found) in zip(axes, results.items(), strict=False):
        _draw(axis, found, classes)
        axis.set_title(f"{name}   UA {UA.format(found.values['ua'])}   WA {WA.format(found.values['wa'])}", fontsize=10)
    for axis in axes[len(results) :]:
        axis.set_visible(False)
    return figure


def _draw(axis: Axes, found: Scores, classes: Sequence[str]) -> None:
    share = found.confusion / np.maximum(found.support, 1)[:, None]
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(share):
        axis.text(
            column,
            row,
            f"{100 * value:.0f}%\n{found.confusion[row, column]}",
            ha="center",
            va="center",
            fontsize=7,
            color="white" if value > 0.55 else "#222222",
        )
    axis.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axis.set_yticks(range(len(classes)), classes, fontsize=8)
    axis.set_xlabel("predicted", fontsize=9)
    axis.set_ylabel("true", fontsize=9)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
