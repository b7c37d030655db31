"""The robustness suite as files: JSON with every point, a Markdown table per disturbance, one figure of all curves."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.atomic import write_atomically
from dual_hpc.evaluation.perturbations.suite import Curve, Disturbance, Robustness
from dual_hpc.evaluation.tables import percent, subset_name, table
from dual_hpc.palette import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_robustness(
    folder: Path, name: str, robustness: Robustness, about: Mapping[str, Any], majority: Mapping[str, float]
) -> None:
    """Write NAME.json, NAME.md and NAME.png into `folder`; each appears complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"about": dict(about), "majority": dict(majority), "robustness": robustness.to_json()}
    write_atomically(folder / f"{name}.json", json.dumps(content, ensure_ascii=False, indent=2) + "\n")
    write_atomically(folder / f"{name}.md", robustness_markdown(robustness, about, majority["ua"]))
    drawn = io.BytesIO()
    robustness_figure(robustness, majority["ua"]).savefig(drawn, format="png", dpi=130)
    write_atomically(folder / f"{name}.png", drawn.getvalue())


def robustness_markdown(robustness: Robustness, about: Mapping[str, Any], majority_ua: float) -> str:
    """UA in percent by level of each disturbance."""
    subject = about.get("run") or about.get("model")
    lines = [
        "# Robustness",
        "",
        f"{subject}, {about['split']} split, {about['count']} utterances, seed {robustness.seed}. UA in percent, all"
        f" from the same weights; always answering the most frequent class scores {percent(majority_ua)}.",
        "",
    ]
    if not robustness.curves:
        lines += ["No disturbance applies to this model and these utterances.", ""]
    for disturbance, curves in by_disturbance(robustness):
        heading = [disturbance.unit, "clean", *(f"{level:g}" for level in disturbance.levels)]
        rows = [
            [subset_name(curve.shown), percent(curve.clean.ua), *(percent(one.ua) for one in curve.points.values())]
            for curve in curves
        ]
        lines += [f"## {disturbance.name.capitalize()}", "", *table(heading, rows), ""]
    return "\n".join(lines)


def robustness_figure(robustness: Robustness, majority_ua: float) -> Figure:
    """One panel per disturbance, mild to severe from left to right; made without pyplot (no global state)."""
    from matplotlib.figure import Figure

    groups = by_disturbance(robustness)
    columns = min(3, max(1, len(groups)))
    rows = max(1, -(-len(groups) // columns))
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    shown = list(dict.fromkeys(curve.shown for curve in robustness.curves))
    for axis, (disturbance, curves) in zip(axes, groups, strict=False):
        places = range(len(disturbance.levels) + 1)
        for curve in curves:
            values = [100 * one.ua for one in (curve.clean, *curve.points.values())]
            colour = COLOURS[shown.index(curve.shown)]
            axis.plot(places, values, marker="o", markersize=3, color=colour, label=subset_name(curve.shown))
        axis.axhline(100 * majority_ua, color="#888888", linestyle="--", linewidth=0.8, label="majority")
        axis.set_xticks(places, ["clean", *(f"{level:g}" for level in disturbance.levels)], fontsize=8)
        axis.set_title(disturbance.name, fontsize=10)
        axis.set_xlabel(disturbance.unit, fontsize=9)
        axis.set_ylabel("UA, %", fontsize=9)
        axis.set_ylim(0, 100)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=7, frameon=False)
    for axis in axes[len(groups) :]:
        axis.set_visible(False)
    return figure


def by_disturbance(robustness: Robustness) -> list[tuple[Disturbance, list[Curve]]]:
    """The curves that belong into one table."""
    return [(key, list(curves)) for key, curves in groupby(robustness.curves, key=lambda curve: curve.disturbance)]
