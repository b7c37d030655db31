"""Scores against scikit-learn, and what a bootstrap interval must obey."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from dual_hpc.evaluation.metrics import MAIN, bootstrap, confusion_matrix, scores

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
        assert ours.wa == pytest.approx(sk.accuracy_score(truth, answer))
        assert ours.ua == pytest.approx(sk.balanced_accuracy_score(truth, answer))
        assert ours.weighted_f1 == pytest.approx(sk.f1_score(truth, answer, average="weighted", zero_division=0))
        assert ours.macro_f1 == pytest.approx(sk.f1_score(truth, answer, average="macro", zero_division=0))
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
    for name in MAIN:
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
    assert scores([], [], 3).main() == dict.fromkeys(MAIN, 0.0)
    assert bootstrap([], [], [], 3) == dict.fromkeys(MAIN, (0.0, 0.0))


@pytest.mark.parametrize(("truth", "answer"), [([0, 1], [0]), ([0], [3]), ([-100], [0])])
def test_lengths_and_class_numbers_are_checked(truth, answer):
    with pytest.raises(ValueError):
        confusion_matrix(truth, answer, 3)
