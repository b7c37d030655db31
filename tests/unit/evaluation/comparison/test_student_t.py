"""Student's t against scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dual_hpc.evaluation.comparison.student_t import quantile, two_sided_p


@given(st.floats(-50, 50), st.floats(0.5, 3000))
def test_the_tail_is_that_of_scipy(t: float, df: float) -> None:
    assert two_sided_p(t, df) == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-6, abs=1e-12)


@given(st.floats(0.5, 0.999), st.floats(1, 3000))
def test_the_factor_of_an_interval_is_that_of_scipy(level: float, df: float) -> None:
    assert quantile(level, df) == pytest.approx(stats.t.ppf((1 + level) / 2, df), rel=1e-6)
