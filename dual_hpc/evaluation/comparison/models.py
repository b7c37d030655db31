"""Models to compare: the predictions of one training, or of several that differ in seed and fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dual_hpc.errors import UserError
from dual_hpc.evaluation.comparison.counts import counts_of
from dual_hpc.evaluation.comparison.measures import Measure, measure_values
from dual_hpc.evaluation.comparison.sampling import Sampled, draw_dialogues
from dual_hpc.evaluation.metrics.metric import Array
from dual_hpc.evaluation.prediction_set import PredictionSet

Fold = int | str | None
Place = tuple[int | None, Fold]  # seed and fold
_NAMED = ("protocol", "split")  # of `about`, in which models must agree


@dataclass(frozen=True)
class Model:
    """A row of the table: predictions by seed and fold.

    Attributes:
        suites: the same trainings under the perturbations of the robustness suite, where all of them were.
    """

    name: str
    trainings: Mapping[Place, PredictionSet]
    suites: Sequence[PredictionSet] = ()

    @property
    def seeds(self) -> list[int | None]:
        return sorted({seed for seed, _ in self.trainings}, key=_none_first)

    @property
    def folds(self) -> list[Fold]:
        return sorted({fold for _, fold in self.trainings}, key=_none_first)

    @property
    def first(self) -> PredictionSet:
        return next(iter(self.trainings.values()))


def model_of(name: str, trainings: Sequence[PredictionSet], suites: Sequence[PredictionSet] = ()) -> Model:
    """A model of the predictions of its trainings, whose `about` says seed and test fold.

    Raises:
        UserError: two have the same seed and fold, or a fold lacks a seed.
    """
    placed: dict[Place, PredictionSet] = {}
    for one in trainings:
        place = (one.about.get("seed"), one.about.get("test_fold"))
        if place in placed:
            raise UserError(f"{name}: two of its runs have the seed {place[0]} and the test fold {place[1]}")
        placed[place] = one
    model = Model(name, placed, suites if len(suites) == len(trainings) else ())
    for seed in model.seeds:
        for fold in model.folds:
            if (seed, fold) not in placed:
                raise UserError(f"{name}: no run has the seed {seed} and the test fold {fold}, as others do")
    return model


def check_comparable(models: Sequence[Model]) -> None:
    """Refuse what does not answer the same questions.

    Raises:
        UserError: another protocol, split, classes, folds or test samples; one line says which.
    """
    first = models[0]
    for other in models[1:]:
        for key in _NAMED:
            ours, theirs = (str(model.first.about.get(key)) for model in (first, other))
            if ours != theirs:
                raise UserError(f"compare: {first.name} has the {key} {ours}, {other.name} the {key} {theirs}")
        if list(first.first.classes) != list(other.first.classes):
            raise UserError(f"compare: {first.name} and {other.name} have other classes")
        if first.folds != other.folds:
            raise UserError(
                f"compare: {first.name} has the test folds {_words(first.folds)}, {other.name} {_words(other.folds)}"
            )
    for model in models:
        for (_, fold), predictions in model.trainings.items():
            reference = next(one for (_, theirs), one in first.trainings.items() if theirs == fold)
            if (reason := _other_samples(reference, predictions)) is not None:
                raise UserError(f"compare: {model.name} has other test samples than {first.name}: {reason}")


def sample(models: Sequence[Model]) -> list[dict[Measure, Sampled]]:
    """Every measure of each model, with one set of draws of the dialogues for all.

    Measures that a training lacks are left out.
    """
    counted = [{place: counts_of(one) for place, one in model.trainings.items()} for model in models]
    dialogues = {
        fold: len(one.dialogues) for (_, fold), one in sorted(counted[0].items(), key=lambda item: str(item[0]))
    }
    drawn = draw_dialogues(dialogues)
    total = sum(dialogues.values())
    found = []
    for model, counts in zip(models, counted, strict=True):
        values: dict[Place, dict[Measure, tuple[float, Array]]] = {}
        for place, one in counts.items():
            weights = np.vstack([np.ones(len(one.dialogues)), drawn[place[1]]])
            computed = measure_values(one, weights, model.first.classes)
            values[place] = {measure: (float(all_[0]), all_[1:]) for measure, all_ in computed.items()}
        shared = [m for m in next(iter(values.values())) if all(m in one for one in values.values())]
        found.append({measure: _sampled(measure, model, values, total) for measure in shared})
    return found


def _sampled(
    measure: Measure, model: Model, values: Mapping[Place, Mapping[Measure, tuple[float, Array]]], dialogues: int
) -> Sampled:
    table = [[values[seed, fold][measure] for fold in model.folds] for seed in model.seeds]
    points = np.array([[point for point, _ in row] for row in table])
    draws = np.array([[drawn for _, drawn in row] for row in table])  # [S, F, N]
    together = draws.min(axis=1) if measure.lowest else draws.mean(axis=1)
    return Sampled(model.seeds, points, together, dialogues, measure.lowest)


def _other_samples(ours: PredictionSet, theirs: PredictionSet) -> str | None:
    labels = [_labels(one) for one in (ours, theirs)]
    if missing := min(labels[0].keys() - labels[1].keys(), default=None):
        return f"it lacks {missing}"
    if more := min(labels[1].keys() - labels[0].keys(), default=None):
        return f"it has {more} as well"
    other = [key for key, label in labels[0].items() if labels[1][key] != label]
    return f"{min(other)} has another label" if other else None


def _labels(predictions: PredictionSet) -> dict[str, int]:
    found = predictions.found[predictions.subsets[0]]
    return dict(zip(found.keys, found.truth.tolist(), strict=True))


def _words(folds: Sequence[Fold]) -> str:
    return ", ".join(map(str, folds))


def _none_first(value: Fold) -> tuple[bool, bool, int | str]:
    return value is not None, isinstance(value, str), value or 0
