"""Scores against scikit-learn, and what a bootstrap interval must obey."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from dual_hpc.errors import UserError
from dual_hpc.evaluation.metrics import METRICS, Metric, bootstrap, confusion_matrix, scores, selecting_metric

answers = st.integers(1, 7).flatmap(
    lambda c: st.tuples(
        st.just(c),
        st.lists(st.tuples(st.integers(0, c - 1), st.integers(0, c - 1), st.integers(0, 4)), min_size=1, max_size=60),
    )
)


@settings(max_examples=40)
@given(answers)
def test_scores_are_those_of_scikit_learn(drawn):
    n_classes, rows = drawn
    truth, answer, _ = (list(column) for column in zip(*rows, strict=True))
    ours = scores(truth, answer, n_classes)
    every = list(range(n_classes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ours.values["wa"] == pytest.approx(sk.accuracy_score(truth, answer))
        assert ours.values["ua"] == pytest.approx(sk.balanced_accuracy_score(truth, answer))
        assert ours.values["weighted_f1"] == pytest.approx(
            sk.f1_score(truth, answer, average="weighted", zero_division=0)
        )
        assert ours.values["macro_f1"] == pytest.approx(sk.f1_score(truth, answer, average="macro", zero_division=0))
        precision, recall, f1, support = sk.precision_recall_fscore_support(
            truth, answer, labels=every, zero_division=0
        )
        np.testing.assert_array_equal(ours.confusion, sk.confusion_matrix(truth, answer, labels=every))
    for mine, theirs in (
        (ours.precision, precision),
        (ours.recall, recall),
        (ours.f1, f1),
        (ours.support, support),
    ):
        np.testing.assert_allclose(mine, theirs)
    assert set(ours.never_predicted) == set(truth) - set(answer)


@settings(max_examples=40)
@given(answers)
def test_the_interval_lies_in_0_to_1_and_is_the_same_for_the_same_seed(drawn):
    n_classes, rows = drawn
    truth, answer, cluster = (list(column) for column in zip(*rows, strict=True))
    first = bootstrap(truth, answer, list(map(str, cluster)), n_classes, resamples=50, seed=3)
    assert first == bootstrap(truth, answer, list(map(str, cluster)), n_classes, resamples=50, seed=3)
    for name in METRICS:
        low, high = first[name]
        assert 0 <= low <= high <= 1 + 1e-12


def test_one_cluster_has_no_spread_and_correlated_clusters_widen_the_interval():
    rng = np.random.default_rng(0)
    right = np.repeat(rng.integers(0, 2, 20), 20)  # whole dialogues right or wrong
    truth = np.zeros(400, dtype=int)
    whole = bootstrap(truth, 1 - right, ["one"] * 400, 2, resamples=200)["wa"]
    single = bootstrap(truth, 1 - right, [str(n) for n in range(400)], 2, resamples=200)["wa"]
    clustered = bootstrap(truth, 1 - right, [str(n // 20) for n in range(400)], 2, resamples=200)["wa"]
    assert whole[0] == whole[1] == pytest.approx(right.mean())
    assert clustered[1] - clustered[0] > 2 * (single[1] - single[0])


def test_a_class_that_is_never_answered_is_named():
    found = scores([0, 1, 2, 2], [0, 0, 2, 0], 4)
    assert found.never_predicted == (1,)
    assert found.to_json(["a", "b", "c", "d"])["never_predicted"] == ["b"]


def test_no_answers_score_zero():
    assert scores([], [], 3).values == dict.fromkeys(METRICS, 0.0)
    assert bootstrap([], [], [], 3) == dict.fromkeys(METRICS, (0.0, 0.0))


@pytest.mark.parametrize(("truth", "answer"), [([0, 1], [0]), ([0], [3]), ([-100], [0])])
def test_lengths_and_class_numbers_are_checked(truth, answer):
    with pytest.raises(ValueError):
        confusion_matrix(truth, answer, 3)


def brier(truth, probabilities):
    return float(np.square(probabilities - np.eye(probabilities.shape[1])[truth]).sum(1).mean())


@pytest.fixture
def with_brier(monkeypatch):
    metric = Metric("Brier", of_probabilities=brier, higher_is_better=False, percent=False)
    monkeypatch.setitem(METRICS._things, "brier", metric)
    return metric


def test_a_registered_metric_of_probabilities_is_scored_where_there_are_some(with_brier):
    truth, probabilities = np.array([0, 1]), np.array([[1.0, 0.0], [0.5, 0.5]])
    found = scores(truth, [0, 1], 2, probabilities)
    assert found.values["brier"] == 0.25 and found.to_json(["a", "b"])["brier"] == 0.25
    assert "brier" not in scores(truth, [0, 1], 2).values
    low, high = bootstrap(truth, [0, 1], ["x", "y"], 2, probabilities, resamples=200)["brier"]
    assert (low, high) == (0.0, 0.5)
    assert list(bootstrap(truth, [0, 1], ["x", "y"], 2)) == ["wa", "ua", "weighted_f1", "macro_f1"]


def test_the_direction_and_the_scale_are_the_metrics_own(with_brier):
    assert with_brier.oriented(0.1) > with_brier.oriented(0.2)
    assert METRICS.get("ua").oriented(0.1) < METRICS.get("ua").oriented(0.2)
    assert (with_brier.format(0.25), METRICS.get("ua").format(0.25), with_brier.format(None)) == ("0.250", "25.0", "")


def test_what_selects_is_checked_by_name_and_purpose(monkeypatch):
    with pytest.raises(UserError, match=r"training\.select_by: there is no metric 'uaa'; did you mean 'ua'"):
        selecting_metric("uaa")
    monkeypatch.setitem(METRICS._things, "ece", Metric("ECE", of_probabilities=brier, selects=False))
    with pytest.raises(UserError, match="ece cannot select the best weights; use one of wa, ua"):
        selecting_metric("ece")


def test_the_loss_of_a_validation_selects_and_has_no_column():
    loss = selecting_metric("loss")
    assert loss.oriented(0.5) > loss.oriented(0.6) and loss.format(0.5) == "0.500"
    assert "loss" not in scores([0, 1], [0, 1], 2, np.eye(2)).values


def test_a_metric_has_one_function():
    with pytest.raises(ValueError, match="one of of_confusion and of_probabilities"):
        Metric("nothing")
