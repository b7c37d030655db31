"""Pictures of a comparison; made without pyplot (no global state, no display)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dual_hpc.evaluation.comparison.comparison import Comparison
from dual_hpc.evaluation.comparison.measures import RELIANCE, Measure
from dual_hpc.evaluation.comparison.models import Model
from dual_hpc.evaluation.metrics import HEADLINE, METRICS
from dual_hpc.evaluation.perturbations.missing_modality import replace_share
from dual_hpc.evaluation.tables import subset_name
from dual_hpc.palette import COLOURS
from dual_hpc.printable import picture_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHARES = np.arange(0, 11) / 10
_SEED = 0  # of the draw of who lacks text


def comparison_figure(comparison: Comparison) -> Figure:
    """UA with and without text, and text reliance, of each model with its 95 % interval."""
    from matplotlib.figure import Figure

    title = METRICS.get(HEADLINE).title
    panels = [[Measure(title, "av"), Measure(title, "avt")], [Measure(RELIANCE, kind="text")]]
    panels = [[one for one in panel if one in comparison.measures] for panel in panels]
    panels = [panel for panel in panels if panel]
    height = 1.2 + 0.45 * len(comparison.models)
    figure = Figure(figsize=(4.6 * max(1, len(panels)), height), layout="constrained")
    axes = figure.subplots(1, max(1, len(panels)), squeeze=False, sharey=True).ravel()
    rows = np.arange(len(comparison.models))
    for axis, panel in zip(axes, panels, strict=False):
        for number, measure in enumerate(panel):
            offset = 0.16 * (number - (len(panel) - 1) / 2)
            for row, values in zip(rows, comparison.values, strict=True):
                if (one := values.get(measure)) is None:
                    continue
                axis.plot([100 * one.low, 100 * one.high], [row + offset] * 2, color=COLOURS[number], linewidth=1.6)
                axis.plot(100 * one.value, row + offset, "o", color=COLOURS[number], markersize=5)
        for number, measure in enumerate(panel if len(panel) > 1 else ()):
            axis.plot([], [], "o-", color=COLOURS[number], label=subset_name(measure.subset))
        axis.set_xlabel(f"{panel[0].title}, %", fontsize=9)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        if len(panel) > 1:
            axis.legend(fontsize=8, frameon=False)
    axes[0].set_yticks(rows, [picture_text(model.name) for model in comparison.models], fontsize=9)
    axes[0].invert_yaxis()
    return figure


def missing_text_figure(models: Sequence[Model]) -> Figure | None:
    """UA over the share of utterances whose text is missing, one curve per model; None where no model has both ends.

    Who lacks text is drawn once: the same utterances for every model, and all of them at every higher share.
    """
    from matplotlib.figure import Figure

    curves = {model.name: curve for model in models if (curve := missing_text_curve(model)) is not None}
    if not curves:
        return None
    figure = Figure(figsize=(5.2, 3.8), layout="constrained")
    axis = figure.subplots()
    for number, (name, curve) in enumerate(curves.items()):
        style = "-" if number < len(COLOURS) else "--"
        colour = COLOURS[number % len(COLOURS)]
        axis.plot(100 * _SHARES, 100 * curve, style, marker="o", markersize=3, color=colour, label=picture_text(name))
    axis.set_xlabel("text missing, % of the utterances", fontsize=9)
    axis.set_ylabel(f"{METRICS.get(HEADLINE).title}, %", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    return figure


def missing_text_curve(model: Model) -> np.ndarray | None:
    """UA where text is missing for 0, 10 ... 100 % of the utterances, mean over seeds and folds, float64 [11]."""
    rows = []
    for one in model.trainings.values():
        if not {"av", "avt"} <= one.found.keys():
            return None
        own, without, count = one.found["avt"], one.found["av"], len(one.classes)
        shown = [replace_share(own, without, share, _SEED, "text missing") for share in _SHARES]
        rows.append([answers.scores(count).values[HEADLINE] for answers in shown])
    return np.mean(rows, axis=0)
