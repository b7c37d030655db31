"""Votes as distributions, and scores against them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dual_hpc.data.format.sample import Utterance, Vote
from dual_hpc.errors import UserError
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.protocols import get_protocol
from dual_hpc.evaluation.vote_scores import vote_scores
from dual_hpc.evaluation.votes import js_divergence, kl_divergence, shares_of, soft_labels_of, vote_shares
from tests.unit.evaluation.protocols_corpus import utterance

SHARES = arrays.arrays(np.float64, (5, 4), elements=st.floats(0, 1))
CLASS = {"ang": 0, "hap": 1, "exc": 1, "neu": 2, "sad": 3}


def votes(*answers: str, **more: bool) -> tuple[Vote, ...]:
    return tuple(Vote(rater=f"E{n}", labels=tuple(one.split("+")), **more) for n, one in enumerate(answers))


@pytest.mark.parametrize(
    ("answers", "shares"),
    [
        (("ang", "ang", "sad"), (2 / 3, 0, 0, 1 / 3)),
        (("hap", "exc"), (0, 1, 0, 0)),  # two labels of one class
        (("ang+sad", "sad"), (1 / 4, 0, 0, 3 / 4)),  # one rater has one vote
        (("ang", "fru"), (1, 0, 0, 0)),  # frustrated is no class here
        (("ang+fru", "neu"), (1 / 3, 0, 2 / 3, 0)),
    ],
)
def test_each_rater_has_one_vote_among_the_classes(answers: tuple[str, ...], shares: tuple[float, ...]) -> None:
    found = shares_of(votes(*answers), CLASS.get, 4)
    assert found is not None and np.allclose(found, shares)


def test_no_vote_for_a_class_and_what_actors_say_of_themselves_count_as_none() -> None:
    assert shares_of(None, CLASS.get, 4) is None and shares_of(votes("fru"), CLASS.get, 4) is None
    own = votes("ang", own=True)
    assert shares_of(own, CLASS.get, 4) is None
    assert (shares_of(own, CLASS.get, 4, own=True) == np.eye(4)[0]).all()


def test_utterances_without_votes_are_trained_on_their_label() -> None:
    utterances = [utterance(0, label="sad", votes=votes("sad", "neu")), utterance(1, label="ang")]
    protocol = get_protocol("iemocap4")
    found = soft_labels_of(protocol, utterances, np.array([0, 1]))
    assert np.allclose(found.shares, [[0.0, 0, 0.5, 0.5], [1.0, 0, 0, 0]])
    assert np.allclose(found.of(np.array([1, -1, 0, 7])), [[1.0, 0, 0, 0], [0.0] * 4, [0.0, 0, 0.5, 0.5], [0.0] * 4])
    assert vote_shares(protocol, utterances, np.array([1, 0]))[1].tolist() == [False, True]
    with pytest.raises(UserError, match=r"trains on votes, and no utterance that trains has one for a class"):
        soft_labels_of(protocol, utterances[1:], np.array([0]))


@given(
    arrays.arrays(np.float64, (5, 4), elements=st.floats(0, 1)),
    arrays.arrays(np.float64, (5, 4), elements=st.floats(0, 1)),
)
def test_divergences_are_zero_for_equal_and_bounded(one: np.ndarray, other: np.ndarray) -> None:
    one, other = ((each + 1e-3) / (each + 1e-3).sum(axis=1, keepdims=True) for each in (one, other))
    found = js_divergence(one, other)
    assert np.allclose(found, js_divergence(other, one)) and (found >= -1e-12).all() and (found <= 1 + 1e-12).all()
    assert np.allclose(js_divergence(one, one), 0) and np.allclose(kl_divergence(one, one), 0)
    assert (kl_divergence(one, other) >= -1e-9).all()


def test_opposite_answers_are_one_bit_apart_and_what_was_ruled_out_costs_much_not_infinitely() -> None:
    truth, answer = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert js_divergence(truth, answer)[0] == pytest.approx(1) and 10 < kl_divergence(truth, answer)[0] < 20


def test_scores_are_over_the_utterances_with_votes() -> None:
    found = Predictions(["a", "b", "c"], np.array([0, 1, 0]), np.array([[0.5, 0.5], [0.2, 0.8], [1, 0]], np.float32))
    scored = vote_scores(found, {"a": [0.5, 0.5], "b": [0.2, 0.8]}, {"a": "d1", "b": "d2"})
    assert scored is not None and scored.count == 2 and scored.values["jsd"] == pytest.approx(0, abs=1e-6)
    assert scored.one_hot["jsd"] > 0.1 and scored.interval["kld"][0] <= scored.values["kld"] + 1e-9
    assert vote_scores(found, {}, {}) is None


def test_votes_stand_in_the_index_s_columns_as_in_the_samples() -> None:
    from dual_hpc.data.format.coded_column import CodedColumnBuilder
    from dual_hpc.data.format.utterances import _typed

    one, other = votes("ang", "sad"), votes("sad+ang", own=True)
    builder = CodedColumnBuilder()
    builder.add([one, None, other])
    builder.add([one])
    column = builder.build()
    assert column.codes.tolist() == [0, 1, 2, 0] and _typed("votes", column.values()) == [one, None, other]
    builder = CodedColumnBuilder()
    builder.add([None, {"gender": "female"}, None, {"gender": "female"}])
    assert builder.build().codes.tolist() == [0, 1, 0, 1]
    again = Utterance.model_validate_json(utterance(0, votes=other).model_dump_json(exclude_none=True))
    assert again.votes == other
