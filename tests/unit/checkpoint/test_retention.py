"""The newest checkpoints are kept, and milestones in time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.checkpoint.retention import steps_to_delete

HOUR = 3600.0


@given(st.sets(st.integers(0, 1000)), st.integers(1, 10))
def test_the_newest_are_kept_and_the_rest_is_deleted(steps: set[int], keep: int) -> None:
    gone = steps_to_delete(dict.fromkeys(steps, 0.0), keep)
    kept = steps - set(gone)
    assert gone == sorted(steps)[: len(gone)]
    assert len(kept) == min(keep, len(steps))


@given(st.lists(st.floats(0.01, 3), max_size=40), st.integers(1, 3), st.floats(0.5, 8))
def test_deleting_after_every_save_leaves_milestones_at_most_one_save_later_than_configured(
    pauses: list[float], keep: int, hours: float
) -> None:
    saved: dict[int, float] = {}
    now, longest = 0.0, max(pauses, default=0.0)
    for step, pause in enumerate(pauses):
        now += pause * HOUR
        saved[step] = now
        for gone in steps_to_delete(saved, keep, hours):
            del saved[gone]
    times = sorted(saved.values())
    assert len(times) >= min(keep, len(pauses))
    assert all(later - earlier <= (hours + longest) * HOUR + 1e-3 for earlier, later in itertools.pairwise(times))
    assert len(times) <= keep + 1 + now / HOUR / hours


def test_the_first_checkpoint_is_a_milestone_and_equal_times_are_not() -> None:
    saved = {1: 0.0, 2: 0.0, 3: 2 * HOUR, 4: 2.5 * HOUR, 5: 2.6 * HOUR}
    assert steps_to_delete(saved, keep_last=1, keep_hours=2) == [2, 4]


@given(st.lists(st.none() | st.floats(0, 1), max_size=40), st.integers(1, 3), st.integers(0, 4))
def test_deleting_after_every_save_keeps_the_best_of_all_steps(
    history: list[float | None], last: int, best: int
) -> None:
    saved: dict[int, float] = {}
    scores = {step: score for step, score in enumerate(history) if score is not None}
    for step in range(len(history)):
        saved[step] = 0.0
        for gone in steps_to_delete(
            saved, last, scores={s: v for s, v in scores.items() if s in saved}, keep_best=best
        ):
            del saved[gone]
    wanted = sorted(scores, key=lambda step: (-scores[step], step))[:best]
    assert set(saved) == {*wanted, *range(max(0, len(history) - last), len(history))}


@given(
    st.dictionaries(st.integers(0, 99), st.floats(0, 1e6)),
    st.integers(1, 4),
    st.sampled_from([0.0, 1.0, 24.0]),
    st.dictionaries(st.integers(0, 99), st.floats()),
    st.integers(0, 3),
)
def test_each_rule_only_keeps_more_and_asking_again_changes_nothing(
    saved: dict[int, float], last: int, hours: float, scores: dict[int, float], best: int
) -> None:
    gone = steps_to_delete(saved, last, hours, scores, best)
    assert set(gone) <= set(steps_to_delete(saved, last))
    rest = {step: when for step, when in saved.items() if step not in gone}
    assert steps_to_delete(rest, last, hours, scores, best) == []


def test_a_score_that_is_nan_counts_as_none() -> None:
    assert steps_to_delete(dict.fromkeys((1, 2, 3), 0.0), 1, scores={1: float("nan"), 2: 0.1}, keep_best=1) == [1]


def test_keep_last_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="keep_last"):
        steps_to_delete({1: 0.0}, 0)
