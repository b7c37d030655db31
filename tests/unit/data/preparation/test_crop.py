"""Where the speaker is in a picture, and how large it is stored."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.preparation.crop import speaker_box, speaker_side, stored_size

sizes = st.integers(2, 4000)


@given(sizes, sizes, st.sampled_from(["left", "right", "whole"]), st.floats(0, 0.9))
def test_a_box_lies_inside_the_picture_and_is_not_empty(width: int, height: int, side: str, top: float) -> None:
    box = speaker_box(width, height, side, (top, top + 0.1))
    assert box.left >= 0 and box.left + box.width <= width and box.width >= 1
    assert box.top >= 0 and box.top + box.height <= height + 1 and box.height >= 1


@given(sizes, sizes)
def test_the_two_halves_do_not_overlap(width: int, height: int) -> None:
    left, right = (speaker_box(width, height, side, (0.25, 0.75)) for side in ("left", "right"))
    assert left.left + left.width <= right.left and left.width == right.width


def test_iemocaps_halves_are_those_of_the_release() -> None:
    box = speaker_box(720, 480, "right", (0.25, 0.75))
    assert (box.left, box.top, box.width, box.height) == (360, 120, 360, 240)


def test_the_speakers_side_follows_actor_and_setting() -> None:
    assert speaker_side("named", "left") == speaker_side("other", "right") == "left"
    assert speaker_side("other", "left") == speaker_side("named", "right") == "right"
    assert speaker_side(None, "left") == speaker_side("named", "whole") == "whole"


@given(sizes, sizes, st.integers(16, 400))
def test_stored_sizes_are_even_and_never_larger_than_asked(width: int, height: int, size: int) -> None:
    w, h = stored_size(width, height, size)
    assert w % 2 == h % 2 == 0 and min(w, h) >= 2
    assert min(w, h) <= max(2, size + 1) and w <= width + 1 and h <= height + 1


def test_the_short_side_gets_the_asked_size_and_the_shape_is_kept() -> None:
    assert stored_size(360, 240, 96) == (144, 96)
    assert stored_size(64, 48, 224) == (64, 48)
