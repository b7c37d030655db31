"""The scores of an evaluation as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich.table import Table

from dual_hpc.evaluation.metrics import HEADLINE, METRICS
from dual_hpc.evaluation.perturbations.report import curve_metrics
from dual_hpc.evaluation.tables import subset_name

if TYPE_CHECKING:
    from dual_hpc.evaluation.perturbations.suite import Robustness
    from dual_hpc.evaluation.result import EvaluationResult, SubsetResult


def score_table(result: EvaluationResult) -> Table:
    """Baselines, subsets of modalities and controls, in percent, with the 95 % interval of UA where there is one.

    Of a model with dimensions also their CCC; of one that learned nothing else, that alone.
    """
    metrics, headline = [METRICS.get(name) for name in METRICS], METRICS.get(HEADLINE)
    headings = (metric.title for metric in metrics)
    dimensions = dict.fromkeys(name for one in result.rows.values() for name in one.dimensions)
    if len(result.classes) == 1:
        table = Table("", *(f"CCC {name}" for name in dimensions), box=None, title=_title(result.about))
        for subset, one in result.rows.items():
            table.add_row(result.shown(subset), *_concordances(one, dimensions))
        return table
    ours = (f"CCC {name}" for name in dimensions)
    table = Table("", *headings, f"{headline.title}, 95 % interval", *ours, box=None, title=_title(result.about))
    for name, row in result.baselines.items():
        table.add_row(name, *_cells(row), "")
    for subset, one in result.rows.items():
        bounds = one.interval.get(HEADLINE, (float("nan"), float("nan")))
        interval = " - ".join(map(headline.format, bounds))
        table.add_row(result.shown(subset), *_cells(one.scores.values), interval, *_concordances(one, dimensions))
    for name, control in result.controls.items():
        table.add_row(f"{result.shown(control.shown)}, {name}", *_cells(control.scores.values), "")
    return table


def _concordances(one: SubsetResult, names: Iterable[str]) -> list[str]:
    return [f"{one.dimensions[name].values['ccc']:.3f}" if name in one.dimensions else "" for name in names]


def _cells(values: Mapping[str, float]) -> list[str]:
    return [METRICS.get(name).format(values.get(name)) for name in METRICS]


def left_out_line(result: EvaluationResult) -> str | None:
    """The part of the split that the scores do not cover."""
    absent = [result.classes[c] for c in result.absent]
    parts = [
        f"{result.about['left_out']}, which the model does not have" if result.about.get("left_out") else "",
        f"classes without an utterance: {', '.join(absent)}" if absent else "",
        f"{result.about['undecodable']} utterances that cannot be decoded" if result.about.get("undecodable") else "",
    ]
    return "left out: " + "; ".join(filter(None, parts)) if any(parts) else None


def reliance_line(result: EvaluationResult) -> str | None:
    """What the text adds, from the same weights."""
    reliance = result.text_reliance if len(result.classes) > 1 else None
    return None if reliance is None else f"text adds {100 * reliance['ua']:+.1f} points of UA ({{A,V,T}} minus {{A,V}})"


def robustness_table(robustness: Robustness) -> Table:
    """Scores under each perturbation, from none to the most severe."""
    table = Table("perturbation", "", "metric", "clean", "level: score", box=None)
    table.title = f"robustness, seed {robustness.seed}"
    for curve in robustness.curves:
        for name, metric in curve_metrics().items():
            points = (f"{level:g}: {metric.format(one.values.get(name))}" for level, one in curve.points.items())
            table.add_row(
                f"{curve.perturbation.title}, {curve.perturbation.unit}",
                subset_name(curve.subset),
                metric.heading,
                metric.format(curve.clean.values.get(name)),
                "  ".join(points),
            )
    return table


def _title(about: Mapping[str, object]) -> str:
    subject = about.get("run") or about.get("model")
    return f"{subject}, {about.get('split')} split, {about['count']} utterances"
