"""Holm's correction: the textbook's example, and what holds of any p-values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.evaluation.comparison.holm import holm


def test_the_smallest_is_multiplied_by_all_and_none_falls_below_one_before_it() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.04]) == [0.04] and holm([0.9, 0.8]) == [1.0, 1.0]


def test_equal_p_values_stay_equal_and_one_that_is_not_known_is_1_and_counts() -> None:
    assert holm([0.02, 0.02, 0.02]) == pytest.approx([0.06] * 3)
    for place in range(3):
        p_values = [0.02, 0.01]
        p_values.insert(place, math.nan)
        adjusted = holm(p_values)
        assert adjusted.pop(place) == 1 and adjusted == pytest.approx([0.04, 0.03])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_it_keeps_the_order_and_lies_between_the_p_value_and_bonferroni_s(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, corrected in zip(p_values, adjusted, strict=True):
        assert p <= corrected <= 1 and corrected >= min(adjusted)
    assert sorted(range(len(p_values)), key=lambda n: (adjusted[n], p_values[n])) == sorted(
        range(len(p_values)), key=lambda n: (p_values[n], adjusted[n])
    )
    assert min(adjusted) == pytest.approx(min(1, len(p_values) * min(p_values)))
