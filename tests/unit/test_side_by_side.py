"""Features by several encoders lie on common steps: copied where they are on them already, else interpolated."""

from __future__ import annotations

import numpy as np
import pytest

from dual_hpc.side_by_side import common_steps, side_by_side


def ramp(steps: int, hz: float, dtype: str = "<f4") -> np.ndarray:
    """The time at which each step is centred, seconds."""
    return ((np.arange(steps) + 0.5) / hz)[:, None].astype(dtype)


def test_sequences_of_one_rate_are_copied_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((7, 3)).astype("<f2"), rng.standard_normal((7, 2)).astype("<f2")
    joined = side_by_side([one, other], [50, 50])
    assert joined.dtype == np.float16
    np.testing.assert_array_equal(joined, np.concatenate([one, other], axis=1))


def test_one_step_less_at_the_end_is_continued() -> None:
    joined = side_by_side([ramp(49, 50), ramp(50, 50)], [50, 50])
    np.testing.assert_array_equal(joined[:49, 0], joined[:49, 1])
    assert joined[49, 0] == joined[48, 0]


@pytest.mark.parametrize("slow", [12.5, 20, 25, 49])
def test_a_slower_one_is_heard_at_the_time_it_was_made_of(slow: float) -> None:
    fast, seconds = 50, 4
    joined = side_by_side([ramp(round(seconds * slow), slow), ramp(seconds * fast, fast)], [slow, fast])
    assert joined.shape == (seconds * fast, 2)
    inside = slice(fast // 10, -fast // 10)
    np.testing.assert_allclose(joined[inside, 0], joined[inside, 1], atol=1e-5)


def test_words_are_stretched_to_the_longer_sequence() -> None:
    joined = side_by_side([np.arange(4.0)[:, None], np.arange(8.0)[:, None]], [None, None])
    np.testing.assert_allclose(joined[:, 0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])


def test_what_is_missing_is_zero_and_the_rest_keeps_the_common_rate() -> None:
    joined = side_by_side([ramp(10, 12.5), np.empty((0, 3), "<f4")], [12.5, 50])
    assert joined.shape == (40, 4) and not joined[:, 1:].any() and joined[:, 0].all()
    assert side_by_side([np.empty((0, 1)), np.empty((0, 3))], [12.5, 50]).shape == (0, 4)


@pytest.mark.parametrize(
    ("lengths", "hz", "steps"), [((50, 13), (50, 12.5), 50), ((0, 0), (1, 2), 0), ((1, 0), (1, 9), 9)]
)
def test_steps_are_known_from_the_lengths(lengths: tuple[int, int], hz: tuple[float, float], steps: int) -> None:
    assert common_steps(lengths, hz) == steps
    assert len(side_by_side([np.ones((n, 1)) for n in lengths], hz)) == steps
