"""The files of an evaluation: its predictions, and the reports that follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.evaluation.perturbations.report import write_robustness
from dual_hpc.evaluation.prediction_file import ENDING, read_predictions, write_predictions
from dual_hpc.evaluation.prediction_set import TEXT_ALONE, PredictionSet, result_of
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.report import write_report
from dual_hpc.evaluation.result import EvaluationResult

ROBUSTNESS = "_robustness"


def write_reports(folder: Path, name: str, result: EvaluationResult) -> None:
    """The predictions and the report of a result, and the same of the robustness suite where it was asked for.

    Files of the suite that an earlier evaluation has left stay as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (predictions := result.predictions) is not None:
        plain, suite = _parts(predictions)
        if suite is not None:
            write_predictions(folder / f"{name}{ROBUSTNESS}{ENDING}", suite)
        write_predictions(folder / f"{name}{ENDING}", plain)
    write_report(folder, name, result)
    if result.robustness is not None:
        about, majority = result.about, result.baselines["majority"]
        write_robustness(folder, f"{name}{ROBUSTNESS}", result.robustness, about, majority)


def rewrite_reports(file: Path) -> EvaluationResult:
    """Compute a report again from its predictions, and write it beside them.

    Args:
        file: NAME_predictions.jsonl of an evaluation, or of its robustness suite.

    Raises:
        UserError: it is not such a file.
    """
    if not file.name.endswith(ENDING):
        raise UserError(f"{file} is not a file of predictions, whose name ends in {ENDING}")
    name = file.name.removesuffix(ENDING)
    predictions = read_predictions(file)
    result = result_of(predictions)
    if name.endswith(ROBUSTNESS) and result.robustness is not None:
        write_robustness(file.parent, name, result.robustness, result.about, result.baselines["majority"])
        return result
    suite = file.with_name(f"{name}{ROBUSTNESS}{ENDING}")
    if suite.exists() and (theirs := read_predictions(suite)).about == predictions.about:
        result = replace(result, robustness=result_of(theirs).robustness)
    write_report(file.parent, name, result)
    return result


def prediction_files(folder: Path) -> list[Path]:
    """Those of a folder of reports."""
    return sorted(folder.glob(f"*{ENDING}"))


def _parts(predictions: PredictionSet) -> tuple[PredictionSet, PredictionSet | None]:
    """What the report needs, and what the curves need."""
    shown = [*predictions.subsets, *predictions.controls, *predictions.controls.values()]
    shown += [TEXT_ALONE] if predictions.text_alone else []
    plain = replace(predictions, found=_chosen(predictions, shown), robustness=None)
    if (plan := predictions.robustness) is None or not plan.curves:
        return plain, None
    conditions = {*plan.subsets, *(name for curve in plan.curves for name in curve.conditions)}
    subsets = list(dict.fromkeys(curve.subset for curve in plan.curves))
    found = _chosen(predictions, conditions)
    return plain, replace(predictions, found=found, subsets=subsets, controls={}, text_alone=False)


def _chosen(predictions: PredictionSet, names: Iterable[str]) -> dict[str, Predictions]:
    wanted = set(names)
    return {name: one for name, one in predictions.found.items() if name in wanted}
