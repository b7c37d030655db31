"""The robustness suite as files: JSON with every point, a Markdown table per perturbation, one figure of all curves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.evaluation.metrics import METRICS, Metric, Scores
from dual_hpc.evaluation.perturbations.perturbation import Perturbation
from dual_hpc.evaluation.perturbations.suite import Curve, Robustness
from dual_hpc.evaluation.tables import subset_name, table
from dual_hpc.files.atomic import write_atomically
from dual_hpc.palette import COLOURS
from dual_hpc.picture import png
from dual_hpc.printable import markdown_cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write_robustness(
    folder: Path, name: str, robustness: Robustness, about: Mapping[str, Any], majority: Mapping[str, float]
) -> None:
    """Write NAME.json, NAME.md and NAME.png into `folder`; each appears complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"about": dict(about), "majority": dict(majority), "robustness": robustness.to_json()}
    write_atomically(folder / f"{name}.json", json.dumps(content, ensure_ascii=False, indent=2) + "\n")
    write_atomically(folder / f"{name}.md", robustness_markdown(robustness, about, majority))
    write_atomically(folder / f"{name}.png", png(robustness_figure(robustness, majority)))


def curve_metrics() -> dict[str, Metric]:
    """The metrics that are tabulated and drawn by level, by name."""
    return {name: METRICS.get(name) for name in METRICS if METRICS.get(name).curves}


def robustness_markdown(robustness: Robustness, about: Mapping[str, Any], majority: Mapping[str, float]) -> str:
    """Tables of the metrics by level of each perturbation."""
    subject = markdown_cell(about.get("run") or about.get("model"))
    metrics = curve_metrics()
    shares = ", ".join(metric.title for metric in metrics.values() if metric.percent)
    trivial = ", ".join(f"{m.title} {m.format(majority[name])}" for name, m in metrics.items() if name in majority)
    lines = [
        "# Robustness",
        "",
        f"{subject}, {about['split']} split, {about['count']} utterances, seed {robustness.seed}. {shares} in percent,"
        f" all from the same weights; always answering the most frequent class scores {trivial}.",
        "",
    ]
    if not robustness.curves:
        lines += ["No perturbation applies to this model and these utterances.", ""]
    if robustness.subsets:
        rows = [
            [subset_name(subset), *(metric.format(one.values.get(name)) for name, metric in metrics.items())]
            for subset, one in robustness.subsets.items()
        ]
        heading = ["", *(metric.title for metric in metrics.values())]
        lines += ["## Subsets of the modalities", "", *table(heading, rows), ""]
    for perturbation, curves in by_perturbation(robustness):
        heading = [perturbation.unit, "clean", *(f"{level:g}" for level in perturbation.levels)]
        rows = [
            [_row_name(curve, metric, metrics), *(metric.format(one.values.get(name)) for one in _points(curve))]
            for curve in curves
            for name, metric in metrics.items()
        ]
        if clipped := curves[0].clipped:
            rows.append(["samples clipped, %", "", *(f"{100 * share:.2g}" for share in clipped.values())])
        lines += [f"## {perturbation.title.capitalize()}", "", *table(heading, rows), ""]
    return "\n".join(lines)


def _row_name(curve: Curve, metric: Metric, metrics: Mapping[str, Metric]) -> str:
    subset = subset_name(curve.subset)
    return subset if len(metrics) == 1 else f"{subset} {metric.heading}"


def _points(curve: Curve) -> list[Scores]:
    return [curve.clean, *curve.points.values()]


def robustness_figure(robustness: Robustness, majority: Mapping[str, float]) -> Figure:
    """One panel per perturbation and metric, mild to severe from left to right; without pyplot (no global state)."""
    from matplotlib.figure import Figure

    panels = [
        (name, metric, perturbation, curves)
        for name, metric in curve_metrics().items()
        for perturbation, curves in by_perturbation(robustness)
    ]
    columns = min(3, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = {curve.subset: COLOURS[0] for curve in robustness.curves}
    colours = {subset: COLOURS[number % len(COLOURS)] for number, subset in enumerate(colours)}
    for axis, (name, metric, perturbation, curves) in zip(axes, panels, strict=False):
        _draw(axis, name, metric, perturbation, curves, colours, majority.get(name))
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return figure


def _draw(
    axis: Axes,
    name: str,
    metric: Metric,
    perturbation: Perturbation,
    curves: list[Curve],
    colours: Mapping[str, str],
    majority: float | None,
) -> None:
    places = range(len(perturbation.levels) + 1)
    for curve in curves:
        values = [metric.factor * one.values.get(name, float("nan")) for one in _points(curve)]
        axis.plot(
            places, values, marker="o", markersize=3, color=colours[curve.subset], label=subset_name(curve.subset)
        )
    if majority is not None:
        axis.axhline(metric.factor * majority, color="#888888", linestyle="--", linewidth=0.8, label="majority")
    axis.set_xticks(places, ["clean", *(_tick(level, curves[0]) for level in perturbation.levels)], fontsize=8)
    axis.set_title(perturbation.title, fontsize=10)
    axis.set_xlabel(f"{perturbation.unit}, samples clipped" if curves[0].clipped else perturbation.unit, fontsize=9)
    axis.set_ylabel(f"{metric.title}, %" if metric.percent else metric.title, fontsize=9)
    if metric.percent:
        axis.set_ylim(0, 100)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False)


def _tick(level: float, curve: Curve) -> str:
    return f"{level:g}" + (f"\n{100 * curve.clipped[level]:.2g} %" if curve.clipped else "")


def by_perturbation(robustness: Robustness) -> list[tuple[Perturbation, list[Curve]]]:
    """The curves that belong into one table."""
    return [(key, list(curves)) for key, curves in groupby(robustness.curves, key=lambda curve: curve.perturbation)]
