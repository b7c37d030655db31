"""How sure a value, and a difference of two, is: a paired bootstrap of dialogues, and the spread over seeds or folds.

Two sources of chance are kept apart and added as variances:

- *which dialogues were recorded*: whole dialogues are drawn with replacement, the same ones for every model and seed;
- *how the training went*: the variance of the values over the seeds, each of them the mean over the folds, divided by
  the number of seeds. With one seed and several folds it is the variance over the folds, which holds both
  sources; the larger of the two variances then counts.

Intervals and p-values are Student's, with Satterthwaite's degrees of freedom: five seeds know their own variance
badly, and a percentile of five values drawn with replacement would be too narrow. One dialogue alone, with one seed on
one fold, tells of neither source: there is no interval, and nothing that two models could be told apart by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dual_hpc.evaluation.comparison.student_t import quantile, two_sided_p
from dual_hpc.evaluation.metrics.metric import Array

LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Sampled:
    """One measure of one model.

    Attributes:
        seeds: of its trainings; None: not known.
        by_fold: [S, F], the value of each seed on each fold.
        draws: [S, N], over the folds together, with the dialogues drawn N times.
        dialogues: how many are drawn, D.
        lowest: over the folds the lowest counts, not the mean.
    """

    seeds: Sequence[int | None]
    by_fold: Array
    draws: Array
    dialogues: int
    lowest: bool = False

    @property
    def by_seed(self) -> Array:
        """[S], over the folds together."""
        return self.by_fold.min(axis=1) if self.lowest else self.by_fold.mean(axis=1)


@dataclass(frozen=True)
class Estimate:
    """A value, or a difference, with its 95 % interval.

    Attributes:
        low, high: NaN where nothing says how sure the value is.
        p: of the two-sided test that it is 0; 1 where nothing says how sure it is.
        effect: value divided by the standard deviation of one unit (Cohen's d_z): a seed where there are several, else
            a fold where there are several, else a dialogue. NaN where nothing varies.
    """

    value: float
    low: float
    high: float
    p: float
    effect: float

    @property
    def known(self) -> bool:
        """Whether it has an interval."""
        return not math.isnan(self.low + self.high)


def draw_dialogues(
    counts: Mapping[int | str | None, int], resamples: int = RESAMPLES, seed: int = 0
) -> dict[int | str | None, Array]:
    """Fold -> how often each of its dialogues is drawn, float64 [N, D]: the same numbers for every model."""
    drawn = {}
    for place, (fold, count) in enumerate(counts.items()):
        rng = np.random.default_rng([seed, place])
        drawn[fold] = rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
    return drawn


def estimate(one: Sampled) -> Estimate:
    """A value and its interval; `p` is of no use."""
    return _estimate(one.by_seed.mean(), *_variances(one), one)


def difference(one: Sampled, other: Sampled) -> Estimate:
    """`one` minus `other`, on the same dialogues; paired by seed where both have the same seeds."""
    if one.seeds == other.seeds or len(one.seeds) == len(other.seeds) == 1:
        paired = Sampled(
            one.seeds,
            (one.by_seed - other.by_seed)[:, None] if one.lowest else one.by_fold - other.by_fold,
            one.draws - other.draws,
            one.dialogues,
        )
        return _estimate(paired.by_seed.mean(), *_variances(paired), paired)
    value = one.by_seed.mean() - other.by_seed.mean()
    drawn = _drawn_variance(one.draws.mean(axis=0) - other.draws.mean(axis=0), one.dialogues)
    spreads = [_spread(each.by_seed) for each in (one, other) if len(each.seeds) > 1]
    return _estimate(value, drawn, spreads, min((one, other), key=lambda each: len(each.seeds)))


Variance = tuple[float, float]  # of a mean, and its degrees of freedom


def _variances(one: Sampled) -> tuple[Variance, list[Variance]]:
    drawn = _drawn_variance(one.draws.mean(axis=0), one.dialogues)
    seeds, folds = one.by_fold.shape
    if seeds > 1:
        return drawn, [_spread(one.by_seed)]
    if folds > 1 and not one.lowest and (over_folds := _spread(one.by_fold[0]))[0] > drawn[0]:
        return over_folds, []
    return drawn, []


def _drawn_variance(draws: Array, dialogues: int) -> Variance:
    return float(draws.var(ddof=1)) * dialogues / max(1, dialogues - 1), max(1.0, dialogues - 1.0)


def _spread(values: Array) -> Variance:
    return float(values.var(ddof=1)) / len(values), len(values) - 1.0


def _estimate(value: float, first: Variance, rest: Sequence[Variance], units: Sampled) -> Estimate:
    parts = [first, *rest]
    total = sum(variance for variance, _ in parts)
    value = float(value)
    if not math.isfinite(value + total) or (units.dialogues < 2 and not rest):
        return Estimate(value, math.nan, math.nan, 1.0, math.nan)
    if total <= 1e-18:
        return Estimate(value, value, value, 1.0 if value == 0 else 0.0, math.nan)
    error = math.sqrt(total)
    df = total**2 / sum(variance**2 / freedom for variance, freedom in parts)
    half = quantile(LEVEL, df) * error
    seeds, folds = units.by_fold.shape
    count = seeds if seeds > 1 else folds if folds > 1 else units.dialogues
    return Estimate(
        value, value - half, value + half, two_sided_p(value / error, df), value / (error * math.sqrt(count))
    )
