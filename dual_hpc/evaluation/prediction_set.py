"""The predictions of one evaluation, and the report that follows from them alone: no model is needed any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dual_hpc.data.format.sample import Utterance
from dual_hpc.evaluation.comparison.reliance import reliance_of
from dual_hpc.evaluation.perturbations.suite import PlannedCurve, curves_of
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.result import EvaluationResult, assemble
from dual_hpc.modality import Modality

TEXT_ALONE = "t"


@dataclass(frozen=True)
class RobustnessPlan:
    """Which conditions make the curves of the robustness suite, the seed of their draws, and which are its subsets."""

    seed: int
    curves: Sequence[PlannedCurve]
    subsets: Sequence[str] = ()


@dataclass(frozen=True)
class PredictionSet:
    """What a model, or a classical classifier, answered to the utterances of one split.

    Attributes:
        about: where it comes from: run or model, checkpoint, protocol, split, test_fold, dataset, reads (the letters of
            the modalities that it uses). The report shows them.
        classes: names; a class number is a position.
        class_counts: utterances per class in the training split, for the trivial baselines.
        utterances: metadata by key, of all that were answered.
        found: condition -> predictions. A condition is a subset of modalities ("av"), a control ("mismatched text"), or
            a perturbation with its level and subset ("white noise 20 av").
        subsets: conditions that are reported as subsets of modalities.
        controls: conditions that are reported as controls -> the subset that was shown.
        text_alone: the condition "t" is a baseline of the report.
        robustness: the curves that the conditions make, if they were asked for.
        votes: key -> the share of each class in the raters' votes, of the utterances whose votes are known.
        dimension_names: of the columns of the predictions' `dimensions`.
        dimensions: key -> the values that the corpus gives, of the utterances that have any.
        fingerprint: of weights, utterances, conditions and code: what makes an evaluation the same one.
    """

    about: Mapping[str, Any]
    classes: Sequence[str]
    class_counts: Sequence[int]
    utterances: Mapping[str, Utterance]
    found: Mapping[str, Predictions]
    subsets: Sequence[str]
    controls: Mapping[str, str] = field(default_factory=dict)
    text_alone: bool = False
    robustness: RobustnessPlan | None = None
    fingerprint: str | None = None
    votes: Mapping[str, Sequence[float]] = field(default_factory=dict)
    dimension_names: Sequence[str] = ()
    dimensions: Mapping[str, Sequence[float | None]] = field(default_factory=dict)


def result_of(predictions: PredictionSet) -> EvaluationResult:
    """Every number of the report."""
    found = predictions.found
    result = assemble(
        predictions.about,
        predictions.classes,
        predictions.class_counts,
        {subset: found[subset] for subset in predictions.subsets},
        predictions.utterances,
        found[TEXT_ALONE] if predictions.text_alone else None,
        {name: (shown, found[name], found[shown]) for name, shown in predictions.controls.items()},
        predictions.votes,
        (predictions.dimension_names, predictions.dimensions),
    )
    if (plan := predictions.robustness) is not None:
        suite = curves_of(plan.curves, found, len(predictions.classes), plan.seed, plan.subsets)
        result = replace(result, robustness=suite)
    reliance = reliance_of(predictions) if Modality.TEXT.letter in result.present else None
    return replace(result, reliance=reliance, predictions=predictions)
