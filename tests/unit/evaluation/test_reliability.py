"""Confidence against accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.reliability import reliability, reliability_figure


def answered(confidence: list[float], right: list[bool]) -> Predictions:
    """Two classes: each utterance is of class 0, and answered with this confidence, rightly or not."""
    rows = [[c, 1 - c] if ok else [1 - c, c] for c, ok in zip(confidence, right, strict=True)]
    keys = [str(number) for number in range(len(rows))]
    return Predictions(keys, np.zeros(len(rows), np.int64), np.array(rows, np.float32))


def test_a_model_that_is_right_as_often_as_it_says_has_no_error() -> None:
    found = reliability(answered([0.75] * 4, [True, True, True, False]))
    assert found.error == pytest.approx(0, abs=1e-6)
    assert found.count.tolist() == [0] * 7 + [4, 0, 0]


def test_the_error_is_the_gap_weighed_by_the_answers() -> None:
    found = reliability(answered([0.95, 0.95, 0.65, 0.65], [False, False, True, False]))
    assert found.error == pytest.approx(0.5 * 0.95 + 0.5 * 0.15, abs=1e-6)
    assert found.accuracy[9] == 0 and found.accuracy[6] == 0.5 and np.isnan(found.accuracy[0])


def test_certain_answers_are_in_the_last_bin() -> None:
    assert reliability(answered([1.0], [True])).count[-1] == 1


def test_a_figure_has_a_panel_for_each_subset() -> None:
    one = answered([0.9, 0.6], [True, False])
    titles = [axis.get_title() for axis in reliability_figure({"{A,V}": one, "{A,V,T}": one}).axes]
    assert [title for title in titles if title] == ["{A,V}   ECE 35.0 %", "{A,V,T}   ECE 35.0 %"]
