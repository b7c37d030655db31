"""Recordings are cut into windows that cover them, by turns where these are known."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.inference.requests import Clip
from dual_hpc.inference.speaker_turns import Turn
from dual_hpc.inference.windows import Windowing, cut, windows


@given(st.floats(0, 1e4), st.floats(0.1, 500), st.floats(0.1, 20), st.floats(0.1, 1))
def test_windows_cover_a_stretch_in_steps_and_end_with_it(
    begin: float, length: float, seconds: float, share: float
) -> None:
    hop = max(0.1, share * seconds)
    found = list(windows(begin, begin + length, Windowing(seconds, hop)))
    assert found[0][0] == begin and begin + length - found[-1][1] < 0.1 + 1e-6
    assert all(b - a == pytest.approx(hop) and a <= begin + length for (a, _), (b, _) in pairwise(found))
    assert all(0 < end - start <= seconds + 1e-6 for start, end in found)
    assert all(following[0] <= before[1] + 1e-6 for before, following in pairwise(found))  # no gap


def test_a_stretch_of_unknown_length_has_windows_for_ever() -> None:
    assert list(islice(windows(1.0, None, Windowing(2.0, 1.0)), 3)) == [(1.0, 3.0), (2.0, 4.0), (3.0, 5.0)]


def test_a_clip_of_one_window_keeps_its_text_and_a_longer_one_does_not() -> None:
    how = Windowing(6.0, 3.0)
    assert [one.text for one in cut(Clip(Path("a"), "hi"), 5.0, how)] == ["hi"]
    assert [one.text for one in cut(Clip(Path("a"), "hi"), 9.0, how)] == [None, None]
    (one,) = cut(Clip(Path("a"), "hi", 2.0, 4.0), 9.0, how)
    assert (one.start, one.end, one.text) == (2.0, 4.0, "hi")


def test_a_clip_of_one_window_is_read_as_without_windows() -> None:
    """Given the end of the header as its own, it would be cut there: an answer that differs in its last digits."""
    clip = Clip(Path("a"), "hi")
    assert list(cut(clip, 5.972, Windowing(6.0, 3.0))) == [clip]


def test_windows_lie_within_turns_and_carry_the_speaker() -> None:
    turns = [Turn(0.0, 2.0, "A"), Turn(2.5, 12.0, "B"), Turn(40.0, 50.0, "C")]
    found = list(cut(Clip(Path("a"), extra={"id": 7}), 20.0, Windowing(6.0, 3.0), turns))
    assert [(one.start, one.end, one.extra["speaker"]) for one in found] == [
        (0.0, 2.0, "A"),
        (2.5, 8.5, "B"),
        (5.5, 11.5, "B"),
        (8.5, 12.0, "B"),
    ]
    assert all(one.extra["id"] == 7 for one in found)
