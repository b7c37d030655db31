"""Training curves as one figure.

Figures are made without pyplot: no global state, no display, safe in a background thread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dual_hpc.palette import COLOURS
from dual_hpc.printable import picture_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[str, Mapping[int, float]]

# Panel title, and the words of which a metric's last name part must contain one to be drawn there.
_PANELS = (
    ("loss", ("loss",)),
    ("score on validation", ("ua", "macro_f1")),  # all of them would be eight lines that lie on each other
    ("accuracy in training", ("accuracy",)),
    ("learning rate", ("lr", "learning_rate")),
    ("gradient norm", ("grad_norm",)),
)


def panels(keys: list[str]) -> list[tuple[str, list[str]]]:
    """Panel title -> the metrics drawn in it, in order; metrics that fit no panel are left to MLflow's own charts."""
    found: dict[str, list[str]] = {}
    for key in sorted(keys):
        words = set(key.rsplit("/", 1)[-1].split("_")) | {key.rsplit("/", 1)[-1]}
        title = next((title for title, names in _PANELS if words & set(names)), None)
        if title is not None:
            found.setdefault(title, []).append(key)
    return [(title, found[title]) for title, _ in _PANELS if title in found]


def training_curves(curves: Curves, title: str = "") -> Figure:
    """One panel per kind of metric over optimiser steps; a run without metrics gives an empty, labelled figure."""
    from matplotlib.figure import Figure

    shown = panels(list(curves))
    figure = Figure(figsize=(9, 2.6 * max(1, len(shown)) + 0.6), layout="constrained")
    figure.suptitle(picture_text(title) or "training curves", fontsize=11)
    axes = figure.subplots(max(1, len(shown)), 1, sharex=True, squeeze=False)[:, 0]
    if not shown:
        axes[0].text(0.5, 0.5, "no metrics yet", ha="center", va="center", transform=axes[0].transAxes)
    for axis, (name, keys) in zip(axes, shown, strict=False):
        for number, key in enumerate(keys):
            _draw(axis, key, curves[key], COLOURS[number % len(COLOURS)])
        axis.set_ylabel(name)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes[-1].set_xlabel("optimiser step")
    return figure


def _draw(axis: Axes, key: str, curve: Mapping[int, float], colour: str) -> None:
    steps = sorted(step for step, value in curve.items() if math.isfinite(value))
    marker = "o" if len(steps) <= 40 else ""  # sparse points must not vanish between lines
    axis.plot(
        steps,
        [curve[step] for step in steps],
        color=colour,
        linewidth=1.4,
        marker=marker,
        ms=3,
        label=picture_text(key),
    )
