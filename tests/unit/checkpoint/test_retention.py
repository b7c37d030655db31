"""The newest checkpoints stay, and landmarks in time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.checkpoint.retention import surplus

HOUR = 3600.0


@given(st.sets(st.integers(0, 1000)), st.integers(1, 10))
def test_the_newest_stay_and_the_rest_goes(steps: set[int], keep: int) -> None:
    gone = surplus(dict.fromkeys(steps, 0.0), keep)
    kept = steps - set(gone)
    assert gone == sorted(steps)[: len(gone)]
    assert len(kept) == min(keep, len(steps))


@given(st.lists(st.floats(0.01, 3), max_size=40), st.integers(1, 3), st.floats(0.5, 8))
def test_deleting_as_one_goes_leaves_landmarks_at_most_one_save_later_than_asked(
    pauses: list[float], keep: int, hours: float
) -> None:
    saved: dict[int, float] = {}
    now, longest = 0.0, max(pauses, default=0.0)
    for step, pause in enumerate(pauses):
        now += pause * HOUR
        saved[step] = now
        for gone in surplus(saved, keep, hours):
            del saved[gone]
    times = sorted(saved.values())
    assert len(times) >= min(keep, len(pauses))
    assert all(later - earlier <= (hours + longest) * HOUR + 1e-3 for earlier, later in itertools.pairwise(times))
    assert len(times) <= keep + 1 + now / HOUR / hours


def test_the_first_checkpoint_is_a_landmark_and_equal_times_are_not() -> None:
    saved = {1: 0.0, 2: 0.0, 3: 2 * HOUR, 4: 2.5 * HOUR, 5: 2.6 * HOUR}
    assert surplus(saved, keep_last=1, keep_hours=2) == [2, 4]


def test_keeping_none_is_refused() -> None:
    with pytest.raises(ValueError, match="keep_last"):
        surplus({1: 0.0}, 0)
