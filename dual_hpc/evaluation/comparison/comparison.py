"""The comparison of models with the first of them: values, differences, corrected p-values and effect sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dual_hpc.errors import UserError
from dual_hpc.evaluation.comparison.holm import holm
from dual_hpc.evaluation.comparison.measures import Measure
from dual_hpc.evaluation.comparison.models import Model, check_comparable, sample
from dual_hpc.evaluation.comparison.sampling import LEVEL, RESAMPLES, Estimate, difference, estimate

SIGNIFICANT = 1 - LEVEL


@dataclass(frozen=True)
class Difference:
    """A model minus the first one; `p_holm` is corrected over all models that are compared by this measure."""

    estimate: Estimate
    p_holm: float = 1.0


@dataclass(frozen=True)
class Comparison:
    """The table.

    Attributes:
        models: the first is the one that the others are compared with.
        measures: in the order of the columns.
        values: by model, in the order of `models`.
        differences: by model; empty for the first.
    """

    models: Sequence[Model]
    measures: Sequence[Measure]
    values: Sequence[Mapping[Measure, Estimate]]
    differences: Sequence[Mapping[Measure, Difference]]

    @property
    def dialogues(self) -> int:
        """Of the test, over its folds."""
        first = self.models[0]
        seed = first.seeds[0]
        return sum(
            len({(u.session, u.split, u.dialogue) for u in first.trainings[seed, fold].utterances.values()})
            for fold in first.folds
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data, every number in it; shares of one."""
        return {
            "reference": self.models[0].name,
            "level": LEVEL,
            "resamples": RESAMPLES,
            "dialogues": self.dialogues,
            "models": [
                {
                    "name": model.name,
                    "seeds": model.seeds,
                    "folds": model.folds,
                    "trainings": [dict(one.about) for one in model.trainings.values()],
                    "measures": [_measure(measure, values[measure], differences.get(measure)) for measure in values],
                }
                for model, values, differences in zip(self.models, self.values, self.differences, strict=True)
            ],
        }


def compare(models: Sequence[Model]) -> Comparison:
    """Compare each model with the first.

    Raises:
        UserError: fewer than two, two of one name, other test samples or protocols, or no scores in common.
    """
    names = [model.name for model in models]
    if len(names) < 2:
        raise UserError("compare: name two runs or more, or a sweep with two experiments or more")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"compare: {twice[0]} is named twice")
    check_comparable(models)
    sampled = sample(models)
    measures = list(dict.fromkeys(measure for one in sampled for measure in one))
    values = [
        {measure: _within(measure, estimate(one[measure])) for measure in measures if measure in one} for one in sampled
    ]
    found: list[dict[Measure, Difference]] = [{} for _ in models]
    for measure in measures:
        compared = [n for n in range(1, len(models)) if measure in sampled[0] and measure in sampled[n]]
        estimates = [difference(sampled[n][measure], sampled[0][measure]) for n in compared]
        for n, one, p in zip(compared, estimates, holm([one.p for one in estimates]), strict=True):
            found[n][measure] = Difference(one, p)
    if alone := [model.name for model, differences in zip(models, found, strict=True) if not differences][1:]:
        raise UserError(
            f"compare: {names[0]} and {alone[0]} have no scores in common; evaluate both with --subsets av,avt"
        )
    return Comparison(models, measures, values, found)


def _within(measure: Measure, one: Estimate) -> Estimate:
    """With its interval cut to what a share can be: Student's knows no bounds, and few dialogues make it wide."""
    if not measure.percent or measure.kind == "text" or not one.known:  # what is lost without text may be below 0
        return one
    return replace(one, low=max(0.0, min(one.low, one.value)), high=min(1.0, max(one.high, one.value)))


def with_reference(models: Sequence[Model], name: str) -> list[Model]:
    """The models with the one of this name first.

    Raises:
        UserError: none has this name.
    """
    named = [model for model in models if model.name == name]
    if not named:
        raise UserError(f"--reference: no model is called {name!r}; there are {', '.join(m.name for m in models)}")
    return [*named, *(model for model in models if model.name != name)]


def _measure(measure: Measure, value: Estimate, compared: Difference | None) -> dict[str, Any]:
    written: dict[str, Any] = {"name": measure.title, "kind": measure.kind, "subset": measure.subset or None}
    written |= {"value": _number(value.value), "interval": _interval(value)}
    if compared is None:
        return written
    one = compared.estimate
    return written | {
        "difference": _number(one.value),
        "difference_interval": _interval(one),
        "p": one.p,
        "p_holm": compared.p_holm,
        "effect_size": _number(one.effect),
    }


def _interval(one: Estimate) -> list[float] | None:
    return [one.low, one.high] if one.known else None


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
