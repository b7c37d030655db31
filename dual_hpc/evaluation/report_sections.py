"""Sections of a report that say more of the answers: corpora, groups of speakers, confidence, votes, dimensions."""

from __future__ import annotations

from dual_hpc.evaluation.dimension_scores import DimensionScores
from dual_hpc.evaluation.metrics import HEADLINE, METRICS
from dual_hpc.evaluation.result import EvaluationResult
from dual_hpc.evaluation.tables import percent, table
from dual_hpc.printable import markdown_cell

_TITLES = {"corpus": "Corpora", "gender": "Gender of the speaker"}


def group_tables(result: EvaluationResult) -> list[str]:
    """A table for each column by which the utterances fall into groups; nothing where there is one group."""
    lines: list[str] = []
    first = next(iter(result.subsets.values()))
    metric = METRICS.get(HEADLINE)
    for name, groups in first.groups.items():
        rows = [
            [
                markdown_cell(group),
                str(scores.count),
                *(metric.format(one.groups[name][group].values[HEADLINE]) for one in result.rows.values()),
            ]
            for group, scores in groups.items()
        ]
        about = f"{metric.title} over the classes that the group shows."
        heading = [name, "utterances", *map(result.shown, result.rows)]
        lines += [f"## {_TITLES.get(name, name)}", "", about, "", *table(heading, rows), ""]
    return lines


def calibration_table(result: EvaluationResult) -> list[str]:
    """Confidence, one row per subset."""
    rows = [
        [result.shown(subset), percent(found.ece), f"{found.aurc:.3f}", *map(percent, found.risk.values())]
        for subset, one in result.rows.items()
        if (found := one.calibration) is not None
    ]
    if not rows:
        return []
    coverages = next(one.calibration.risk for one in result.rows.values() if one.calibration is not None)
    heading = ["", "ECE", "AURC", *(f"wrong among the surest {100 * float(share):.0f} %" for share in coverages)]
    about = "ECE: expected calibration error; AURC: area under the risk-coverage curve. Lower is better."
    return ["## Confidence", "", about, "", *table(heading, rows), ""]


def dimension_table(result: EvaluationResult) -> list[str]:
    """Valence and the like, one row per dimension and subset."""
    rows = [
        [f"{name}, {result.shown(subset)}", str(found.count), *(_bounded(found, key) for key in ("ccc", "mae"))]
        for subset, one in result.rows.items()
        for name, found in one.dimensions.items()
    ]
    if not rows:
        return []
    about = "CCC: concordance correlation, 1 is best; MAE: mean absolute error, in units of the corpus."
    return ["## Dimensions", "", about, "", *table(["", "utterances", "CCC", "MAE"], rows), ""]


def _bounded(found: DimensionScores, key: str) -> str:
    return f"{found.values[key]:.3f} [{', '.join(f'{value:.3f}' for value in found.interval[key])}]"


def vote_table(result: EvaluationResult) -> list[str]:
    """Distance to the raters' votes, where they are known."""
    found = {subset: one.votes for subset, one in result.rows.items() if one.votes is not None}
    if not found:
        return []
    first = next(iter(found.values()))
    rows = [["the label alone", f"{first.one_hot['jsd']:.3f}", f"{first.one_hot['kld']:.3f}"]]
    for subset, one in found.items():
        cells = [
            f"{one.values[key]:.3f} [{', '.join(f'{v:.3f}' for v in one.interval[key])}]" for key in ("jsd", "kld")
        ]
        rows.append([result.shown(subset), *cells])
    about = f"Divergence of the answers from the votes of {first.count} utterances, base 2 and nats. Lower is better."
    return ["## Votes of the raters", "", about, "", *table(["", "JSD", "KLD"], rows), ""]
