"""What the tables of a comparison say: headings and cells, from which each format is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dual_hpc.evaluation.comparison.comparison import SIGNIFICANT, Comparison
from dual_hpc.evaluation.comparison.measures import Measure
from dual_hpc.evaluation.comparison.sampling import Estimate
from dual_hpc.evaluation.tables import subset_name

_FEW = 10  # dialogues below which an interval promises too much


@dataclass(frozen=True)
class Section:
    """One table; the first column is words."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def sections(comparison: Comparison) -> list[Section]:
    """The tables, the most important first."""
    subsets = list(dict.fromkeys(measure.subset for measure in comparison.measures if measure.subset))
    found = [
        _values(comparison, f"Scores with {subset_name(subset)}", _of(comparison, subset, "metric", "speaker"))
        for subset in subsets
    ]
    if text := _of(comparison, "", "text"):
        found.append(_values(comparison, "Text reliance", text))
    main = [measure for measure in comparison.measures if measure.kind != "class"]
    found.append(_differences(comparison, main))
    found += [_values(comparison, f"F1 per class with {subset_name(s)}", _of(comparison, s, "class")) for s in subsets]
    return found


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know to use the numbers."""
    first = comparison.models[0]
    about = first.first.about
    several = max(len(model.seeds) for model in comparison.models)
    fold = f", test folds {', '.join(map(str, first.folds))}" if first.folds != [None] else ""
    lines = [
        f"Protocol {about.get('protocol')}, {about.get('split')} split{fold}, {comparison.dialogues} dialogues, the "
        "same utterances for every model. Scores in percent with their 95 % interval; "
        f"{_seeds(several, len(first.folds))}.",
        f"A star: differs from {first.name} (paired by dialogue, p < {SIGNIFICANT:.2f} after Holm's correction over "
        "the models of a column).",
        "Effect size: the difference divided by its standard deviation over seeds, or folds, or dialogues (Cohen's "
        "d_z).",
        "Text reliance: half the share of UA that is lost without text, and half the share of answers that misleading "
        "text turns; 0: the text is not used.",
    ]
    if comparison.dialogues < _FEW:
        lines.append(_few(comparison))
    lines += [f"{model.name}: {told}" for model in comparison.models if (told := model.first.about.get("selection"))]
    return lines


def _few(comparison: Comparison) -> str:
    if comparison.dialogues > 1:
        return f"With {comparison.dialogues} dialogues these intervals are too narrow to rely on."
    return (
        "One dialogue does not say how sure a score is: models of one seed have no interval and no p-value, and the "
        "intervals of several seeds know nothing of other dialogues."
    )


def _seeds(seeds: int, folds: int) -> str:
    if seeds > 1:
        return f"mean over {seeds} seeds, whose variance and a bootstrap of dialogues make the interval"
    if folds > 1:
        return "one seed: the interval is over folds, or of a bootstrap of dialogues where that is wider"
    return "one training each: the interval is of a bootstrap of dialogues and knows nothing of other seeds"


def _of(comparison: Comparison, subset: str, *kinds: str) -> list[Measure]:
    return [one for one in comparison.measures if one.subset == subset and one.kind in kinds]


def _values(comparison: Comparison, title: str, measures: Sequence[Measure]) -> Section:
    rows = []
    for model, values, compared in zip(comparison.models, comparison.values, comparison.differences, strict=True):
        cells = []
        for measure in measures:
            if measure not in values:
                cells.append("")
                continue
            one = values[measure]
            star = "*" if measure in compared and compared[measure].p_holm < SIGNIFICANT else ""
            bounds = f" [{measure.format(one.low)}, {measure.format(one.high)}]" if one.known else ""
            cells.append(f"{measure.format(one.value)}{star}{bounds}")
        rows.append([model.name, *cells])
    return Section(title, ["model", *(measure.title for measure in measures)], rows)


def _differences(comparison: Comparison, measures: Sequence[Measure]) -> Section:
    rows = []
    for model, compared in zip(comparison.models, comparison.differences, strict=True):
        for measure in (one for one in measures if one in compared):
            one, p_holm = compared[measure].estimate, compared[measure].p_holm
            interval = f"[{_signed(measure, one.low)}, {_signed(measure, one.high)}]" if one.known else ""
            effect = "" if math.isnan(one.effect) else f"{one.effect:+.2f}"
            rows.append(
                [model.name, measure.heading, _signed(measure, one.value), interval, _p(one), _p(one, p_holm), effect]
            )
    heading = ["model", "measure", "difference", "95 % interval", "p", "p (Holm)", "effect size"]
    return Section(f"Differences from {comparison.models[0].name}", heading, rows)


def _signed(measure: Measure, value: float) -> str:
    text = measure.format(value)
    return text if text.startswith("-") else f"+{text}"


def _p(one: Estimate, corrected: float | None = None) -> str:
    value = one.p if corrected is None else corrected
    return "" if not one.known else "< 0.001" if value < 0.001 else f"{value:.3f}"
