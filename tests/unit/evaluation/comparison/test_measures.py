"""Every measure of the table against scikit-learn, on random answers; text reliance on models whose use is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from dual_hpc.evaluation.comparison.counts import counts_of
from dual_hpc.evaluation.comparison.measures import LOST, MISLED, RELIANCE, TURNED, WORST, Measure, measure_values
from dual_hpc.evaluation.prediction_set import PredictionSet
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.protocols import speaker_of
from tests.unit.evaluation.comparison.made import CLASSES, corpus, predictions


def measured(found: PredictionSet) -> dict[Measure, float]:
    counts = counts_of(found)
    values = measure_values(counts, np.ones((1, len(counts.dialogues))), found.classes)
    return {measure: float(value[0]) for measure, value in values.items()}


@pytest.mark.parametrize("seed", range(8))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    shares = np.random.default_rng(seed).uniform(0.1, 1, 2)
    found = predictions(corpus(7, 9), {"av": shares[0], "avt": shares[1]}, seed)
    values = measured(found)
    for subset in ("av", "avt"):
        one = found.found[subset]
        truth, answers = one.truth, one.answers
        assert values[Measure("WA", subset)] == pytest.approx(sk.accuracy_score(truth, answers))
        assert values[Measure("UA", subset)] == pytest.approx(sk.balanced_accuracy_score(truth, answers))
        for average in ("weighted", "macro"):
            expected = sk.f1_score(truth, answers, average=average, zero_division=0)
            assert values[Measure(f"{average} F1", subset)] == pytest.approx(expected)
        by_class = sk.f1_score(truth, answers, average=None, labels=range(4), zero_division=0)
        for name, expected in zip(CLASSES, by_class, strict=True):
            assert values[Measure(name, subset, "class")] == pytest.approx(expected)
        speakers = np.array([speaker_of(found.utterances[key]) for key in one.keys])
        recalls = [
            sk.balanced_accuracy_score(truth[speakers == name], answers[speakers == name])
            for name in set(speakers)
            if (speakers == name).sum() >= 10
        ]
        assert values[Measure(WORST, subset, "speaker")] == pytest.approx(min(recalls))


DEGENERATE = {
    "one sample": ([2], [2]),
    "one sample, wrong": ([2], [0]),
    "all of one class": ([1, 1, 1], [1, 1, 1]),
    "all of one class, never answered": ([1, 1, 1], [3, 3, 0]),
    "a class that does not occur is answered": ([0, 0, 1, 1], [0, 2, 1, 2]),
    "a class is never answered": ([0, 1, 2, 3], [0, 0, 2, 3]),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
def test_where_a_class_is_missing_scores_are_those_of_scikit_learn(name: str) -> None:
    truth, answers = map(np.array, DEGENERATE[name])
    made = predictions(corpus(1, len(truth)), {"av": 1.0})
    one = Predictions(made.found["av"].keys, truth, np.eye(4, dtype=np.float32)[answers])
    values = measured(replace(made, found={"av": one}))
    assert values[Measure("WA", "av")] == pytest.approx(sk.accuracy_score(truth, answers))
    assert values[Measure("UA", "av")] == pytest.approx(sk.balanced_accuracy_score(truth, answers))
    for average in ("weighted", "macro"):
        expected = sk.f1_score(truth, answers, average=average, zero_division=0)
        assert values[Measure(f"{average} F1", "av")] == pytest.approx(expected)
    by_class = sk.f1_score(truth, answers, average=None, labels=range(4), zero_division=0)
    assert [values[Measure(label, "av", "class")] for label in CLASSES] == pytest.approx(list(by_class))


def test_drawing_a_dialogue_twice_counts_its_utterances_twice() -> None:
    found = predictions(corpus(3, 8), {"av": 0.5, "avt": 0.5})
    counts = counts_of(found)
    values = measure_values(counts, np.array([[2.0, 0.0, 1.0]]), CLASSES)
    one = found.found["av"]
    rows = [
        n for n, key in enumerate(one.keys) for _ in range({"d0": 2, "d1": 0, "d2": 1}[found.utterances[key].dialogue])
    ]
    assert values[Measure("UA", "av")][0] == pytest.approx(
        sk.balanced_accuracy_score(one.truth[rows], one.answers[rows])
    )


def reliance(accuracy: dict[str, float], about: dict[str, str] | None = None) -> dict[Measure, float]:
    return measured(predictions(corpus(60, 20), accuracy, about=about))


def test_a_model_that_reads_no_text_has_a_text_reliance_of_0() -> None:
    values = reliance({"av": 0.6}, {"reads": "av"})
    assert Measure(RELIANCE, kind="text") not in values  # the scores with text were not asked for
    found = predictions(corpus(60, 20), {"av": 0.6}, about={"reads": "av"})
    both = PredictionSet(**{**vars(found), "found": {"av": found.found["av"], "avt": found.found["av"]}})
    assert measured(both)[Measure(RELIANCE, kind="text")] == 0


def test_the_text_alone_is_lost_to_chance_and_turned_always() -> None:
    values = reliance({"av": 0.25, "avt": 1.0, "mismatched text": 0.0})
    assert values[Measure(LOST, kind="text")] == pytest.approx(0.75, abs=0.03)
    assert values[Measure(TURNED, kind="text")] == 1
    assert values[Measure(RELIANCE, kind="text")] == pytest.approx(0.875, abs=0.02)


def test_both_halves_weigh_the_same_and_a_model_that_is_better_without_text_has_a_negative_half() -> None:
    values = reliance({"av": 0.8, "avt": 0.4, "mismatched text": 0.4})
    lost, turned = values[Measure(LOST, kind="text")], values[Measure(TURNED, kind="text")]
    assert lost == pytest.approx(-1, abs=0.15) and 0 < turned < 1
    assert values[Measure(RELIANCE, kind="text")] == pytest.approx((lost + turned) / 2)


def test_without_misleading_text_nothing_is_said_of_text_reliance() -> None:
    assert Measure(RELIANCE, kind="text") not in reliance({"av": 0.6, "avt": 0.7})


def test_ua_with_misleading_text_is_that_of_the_answers_to_it() -> None:
    found = predictions(corpus(7, 9), {"av": 0.6, "avt": 0.9, "mismatched text": 0.4})
    one = found.found["mismatched text"]
    expected = sk.balanced_accuracy_score(one.truth, one.answers)
    assert measured(found)[Measure(MISLED, kind="text")] == pytest.approx(expected)


def test_misleading_text_leaves_a_model_that_reads_no_text_as_it_is() -> None:
    found = predictions(corpus(7, 9), {"av": 0.6, "avt": 0.6}, about={"reads": "av"})
    values = measured(found)
    assert values[Measure(MISLED, kind="text")] == values[Measure("UA", "avt")]
