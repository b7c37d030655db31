"""The scores of an evaluation as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table

from dual_hpc.evaluation.tables import subset_name

if TYPE_CHECKING:
    from dual_hpc.evaluation.perturbations.suite import Robustness
    from dual_hpc.evaluation.result import EvaluationResult

HEADINGS = {"wa": "WA", "ua": "UA", "weighted_f1": "weighted F1", "macro_f1": "macro F1"}


def score_table(result: EvaluationResult) -> Table:
    """Baselines, subsets of modalities and controls, in percent, with the 95 % interval of UA where there is one."""
    table = Table("", *HEADINGS.values(), "UA, 95 % interval", box=None, title=_title(result.about))
    for name, row in result.baselines.items():
        table.add_row(name, *(f"{100 * row[key]:.1f}" for key in HEADINGS), "")
    for subset, one in result.subsets.items():
        low, high = one.interval.get("ua", (float("nan"), float("nan")))
        row = one.scores.main()
        table.add_row(
            subset_name(subset), *(f"{100 * row[key]:.1f}" for key in HEADINGS), f"{100 * low:.1f} - {100 * high:.1f}"
        )
    for name, control in result.controls.items():
        row = control.scores.main()
        table.add_row(f"{subset_name(control.shown)}, {name}", *(f"{100 * row[key]:.1f}" for key in HEADINGS), "")
    return table


def left_out_line(result: EvaluationResult) -> str | None:
    """What of the split the scores do not speak of."""
    absent = [result.classes[c] for c in result.absent]
    parts = [
        f"{result.about['left_out']}, which the model does not know" if result.about.get("left_out") else "",
        f"classes without an utterance: {', '.join(absent)}" if absent else "",
        f"{result.about['undecodable']} utterances that cannot be decoded" if result.about.get("undecodable") else "",
    ]
    return "left out: " + "; ".join(filter(None, parts)) if any(parts) else None


def reliance_line(result: EvaluationResult) -> str | None:
    """What the text adds, from the same weights."""
    reliance = result.text_reliance
    return None if reliance is None else f"text adds {100 * reliance['ua']:+.1f} points of UA ({{A,V,T}} minus {{A,V}})"


def robustness_table(robustness: Robustness) -> Table:
    """UA in percent under each disturbance, from no disturbance to the most severe."""
    table = Table("UA", "", "clean", "level: UA", box=None, title=f"robustness, seed {robustness.seed}")
    for curve in robustness.curves:
        points = "  ".join(f"{level:g}: {100 * one.ua:.1f}" for level, one in curve.points.items())
        disturbance = f"{curve.disturbance.name}, {curve.disturbance.unit}"
        table.add_row(disturbance, subset_name(curve.shown), f"{100 * curve.clean.ua:.1f}", points)
    return table


def _title(about: Mapping[str, object]) -> str:
    subject = about.get("run") or about.get("model")
    return f"{subject}, {about['split']} split, {about['count']} utterances"
