"""The robustness curves of several models in one picture: a panel per perturbation and subset, a curve per model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dual_hpc.evaluation.comparison.models import Model
from dual_hpc.evaluation.metrics import HEADLINE, METRICS
from dual_hpc.evaluation.perturbations.suite import Curve, curves_of
from dual_hpc.evaluation.tables import subset_name
from dual_hpc.palette import COLOURS
from dual_hpc.printable import picture_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panel = tuple[str, str, str, tuple[float, ...]]  # title, subset, unit and levels of a perturbation


def robustness_figure(models: Sequence[Model]) -> Figure | None:
    """UA, mean over seeds and folds; None unless every model was evaluated with the suite, drawn from one seed."""
    from matplotlib.figure import Figure

    plans = [suite.robustness for model in models for suite in model.suites]
    if not all(model.suites for model in models) or len({plan.seed for plan in plans if plan is not None}) != 1:
        return None
    curves = {model.name: _curves(model) for model in models}
    panels = list(dict.fromkeys(panel for found in curves.values() for panel in found))
    if not panels:
        return None
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    metric = METRICS.get(HEADLINE)
    for axis, panel in zip(axes, panels, strict=False):
        title, subset, unit, levels = panel
        for number, (name, found) in enumerate(curves.items()):
            if panel in found:
                style = "-" if number < len(COLOURS) else "--"
                values = metric.factor * found[panel]
                colour = COLOURS[number % len(COLOURS)]
                axis.plot(range(len(values)), values, style, color=colour, label=picture_text(name), linewidth=1.2)
        axis.set_xticks(range(len(levels) + 1), ["clean", *(f"{level:g}" for level in levels)], fontsize=7)
        axis.set_title(f"{title}, {subset_name(subset)}", fontsize=9)
        axis.set_xlabel(unit, fontsize=8)
        axis.set_ylabel(f"{metric.title}, %", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(fontsize=7, frameon=False)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return figure


def _curves(model: Model) -> dict[Panel, np.ndarray]:
    """Panel -> UA, clean and by level, float64 [L + 1]; of those panels that every training has."""
    found: dict[Panel, list[list[float]]] = {}
    for suite in model.suites:
        plan = suite.robustness
        for curve in curves_of(plan.curves, suite.found, len(suite.classes), plan.seed).curves if plan else ():
            found.setdefault(_panel(curve), []).append(
                [p.values[HEADLINE] for p in (curve.clean, *curve.points.values())]
            )
    return {panel: np.mean(rows, axis=0) for panel, rows in found.items() if len(rows) == len(model.suites)}


def _panel(curve: Curve) -> Panel:
    return curve.perturbation.title, curve.subset, curve.perturbation.unit, curve.perturbation.levels
