"""The paired bootstrap: false alarms on equal models at the promised rate, and its power on a planted difference."""

from __future__ import annotations

import numpy as np
import pytest

from dual_hpc.evaluation.comparison.counts import Counts
from dual_hpc.evaluation.comparison.measures import Measure, measure_values
from dual_hpc.evaluation.comparison.sampling import Sampled, difference, draw_dialogues, estimate
from dual_hpc.evaluation.metrics.metric import Array
from tests.unit.evaluation.comparison.made import CLASSES

PAIRS, DRAWS, DIALOGUES, TURNS = 1000, 500, 50, 10
UA, WA, F1 = Measure("UA", "av"), Measure("WA", "av"), Measure("weighted F1", "av")


def answers(rng: np.random.Generator, truth: Array, ease: Array, effect: float, shared: Array) -> Array:
    """Right with a probability that the dialogue's ease shifts; a part of the luck is shared by all models."""
    own = rng.random(truth.shape)
    luck = np.where(rng.random(truth.shape) < 0.5, shared, own)
    right = luck < np.clip(0.6 + ease + effect, 0.02, 0.98)
    return np.where(right, truth, (truth + rng.integers(1, 4, truth.shape)) % 4)


def counts(truth: Array, given: Array) -> Counts:
    confusion = np.zeros((len(truth), 4, 4))
    np.add.at(confusion, (np.arange(len(truth))[:, None], truth, given), 1)
    return Counts(list(map(str, range(len(truth)))), {"av": confusion}, {"av": np.zeros((len(truth), 0, 4, 4))}, None)


def sampled(models: list[Counts], weights: Array, measures: tuple[Measure, ...]) -> dict[Measure, Sampled]:
    values = [measure_values(one, weights, CLASSES) for one in models]
    found = {}
    for measure in measures:
        table = np.array([one[measure] for one in values])
        found[measure] = Sampled(list(range(len(models))), table[:, :1], table[:, 1:], len(models[0].dialogues))
    return found


def rejections(effect: float, seeds: int, measures: tuple[Measure, ...], pairs: int = PAIRS) -> dict[Measure, float]:
    """How often two models, `effect` apart, are found to differ at 5 %."""
    found = dict.fromkeys(measures, 0)
    weights = np.vstack([np.ones(DIALOGUES), draw_dialogues({0: DIALOGUES}, DRAWS)[0]])
    for number in range(pairs):
        rng = np.random.default_rng([number, 99])
        truth, shared = rng.integers(0, 4, (DIALOGUES, TURNS)), rng.random((DIALOGUES, TURNS))
        ease = rng.normal(0, 0.12, (DIALOGUES, 1))
        models = []
        for which in range(2):
            fate = 0.03 * rng.standard_normal(seeds) if seeds > 1 else [0.0]
            own = rng.normal(0, 0.08, (DIALOGUES, 1))  # dialogues that suit one model more than the other
            models.append([counts(truth, answers(rng, truth, ease + own, effect * which + f, shared)) for f in fate])
        one, other = (sampled(model, weights, measures) for model in models)
        for measure in measures:
            found[measure] += difference(other[measure], one[measure]).p < 0.05
    return {measure: count / pairs for measure, count in found.items()}


def test_equal_models_are_told_apart_in_5_percent_of_1000_pairs() -> None:
    rates = rejections(0.0, 1, (UA, WA, F1))
    print(f"\nfalse alarms at 5 %, one training each, {PAIRS} pairs: { {m.title: r for m, r in rates.items()} }")
    assert all(rate == pytest.approx(0.05, abs=0.015) for rate in rates.values()), rates


def test_with_seeds_equal_models_are_not_told_apart_more_often() -> None:
    rates = rejections(0.0, 3, (UA,), pairs=250)
    print(f"\nfalse alarms at 5 %, three seeds each, 250 pairs: {rates[UA]}")
    assert rates[UA] <= 0.05 + 0.028, rates  # two standard deviations of 250 pairs


def test_a_planted_difference_is_found() -> None:
    powers = {effect: rejections(effect, 1, (UA,), pairs=150)[UA] for effect in (0.02, 0.05, 0.12)}
    print(f"\npower at 5 %, {DIALOGUES} dialogues of {TURNS} utterances, by difference of accuracy: {powers}")
    assert powers[0.02] < powers[0.05] < powers[0.12] and powers[0.12] > 0.9


def made(
    by_fold: list[list[float]], seeds: list[int | None] | None = None, spread: float = 0.0, lowest: bool = False
) -> Sampled:
    values = np.array(by_fold)
    noise = np.random.default_rng(0).normal(0, spread, (len(values), 500)) if spread else np.zeros((len(values), 500))
    return Sampled(seeds or list(range(len(values))), values, values.mean(1)[:, None] + noise, 40, lowest)


def test_the_interval_over_seeds_is_student_s() -> None:
    from scipy import stats

    values = [0.60, 0.62, 0.65, 0.61, 0.66]
    one = estimate(made([[v] for v in values]))
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (one.low, one.high) == pytest.approx((low, high))


def test_seeds_are_paired_where_both_models_have_the_same() -> None:
    one, other = made([[0.5], [0.6], [0.7]]), made([[0.52], [0.61], [0.73]])
    assert difference(other, one).p < 0.1
    unpaired = difference(made([[0.52], [0.61], [0.73]], [7, 8, 9]), one)
    assert unpaired.value == pytest.approx(0.02) and unpaired.p > 0.5


def test_one_seed_and_five_folds_vary_over_the_folds() -> None:
    from scipy import stats

    ours, theirs = [0.5, 0.6, 0.7, 0.65, 0.55], [0.52, 0.65, 0.70, 0.69, 0.57]
    found = difference(made([theirs]), made([ours]))
    assert found.p == pytest.approx(stats.ttest_rel(theirs, ours).pvalue)
    gaps = np.subtract(theirs, ours)
    assert found.effect == pytest.approx(gaps.mean() / gaps.std(ddof=1))


def test_the_worst_over_folds_is_the_lowest_not_the_mean() -> None:
    assert estimate(made([[0.5, 0.9], [0.7, 0.6]], lowest=True)).value == pytest.approx(0.55)


def test_equal_predictions_differ_by_nothing() -> None:
    one = made([[0.5]], spread=0.01)
    found = difference(one, one)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)
