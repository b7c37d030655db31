"""Following a face: pure choices, and OpenCV's detector where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.preparation.crop import Box
from dual_hpc.data.preparation.faces import FaceTracker, choose, haar_detector, overlap, square
from dual_hpc.errors import UserError
from tests.media.drawn_face import drawn_face

boxes = st.builds(Box, st.integers(-20, 60), st.integers(-20, 60), st.integers(1, 50), st.integers(1, 50))
PICTURE = np.random.default_rng(0).integers(1, 255, (48, 64, 3), np.uint8)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_a_share(a: Box, b: Box) -> None:
    assert overlap(a, b) == overlap(b, a) and 0 <= overlap(a, b) <= 1 and overlap(a, a) == 1


@given(st.lists(boxes, min_size=1))
def test_without_a_face_before_the_largest_is_chosen(found: list[Box]) -> None:
    chosen = choose(found, None)
    assert chosen is not None and chosen.width * chosen.height == max(b.width * b.height for b in found)


def test_the_face_before_is_preferred_to_a_larger_one() -> None:
    small, large = Box(10, 10, 10, 10), Box(40, 10, 20, 20)
    assert choose([large, small], Box(11, 11, 10, 10)) == small
    assert choose([large, small], Box(100, 100, 10, 10)) == large
    assert choose([], small) is None


@given(st.none() | boxes)
def test_a_crop_is_square_whatever_the_box(box: Box | None) -> None:
    out = square(PICTURE, box)
    assert out.shape[0] == out.shape[1] and out.dtype == np.uint8


def test_without_a_face_the_whole_picture_is_kept() -> None:
    out = square(PICTURE, None)
    np.testing.assert_array_equal(out[8:56], PICTURE)
    assert not out[:8].any() and not out[56:].any()


def test_a_crop_is_centred_on_the_face() -> None:
    np.testing.assert_array_equal(square(PICTURE, Box(20, 15, 10, 10)), PICTURE[12:27, 17:32])


def test_a_lost_face_is_held_for_a_second_and_then_the_whole_picture_is_shown() -> None:
    found = [Box(20, 15, 10, 10)]
    tracker = FaceTracker(lambda picture: found)
    assert tracker.crop(PICTURE, 0.0).shape == (15, 15, 3)
    found.clear()
    assert tracker.crop(PICTURE, 0.9).shape == (15, 15, 3)
    assert tracker.crop(PICTURE, 1.3).shape == (64, 64, 3)
    assert tracker.coverage == pytest.approx(2 / 3)


def test_the_detector_looks_five_times_a_second_not_at_every_picture() -> None:
    looks: list[int] = []
    tracker = FaceTracker(lambda picture: looks.append(1) or [])
    for i in range(61):
        tracker.crop(PICTURE, i / 30)
    assert 9 <= len(looks) <= 11


def test_the_detector_finds_a_drawn_face_or_says_what_to_install() -> None:
    face = drawn_face()
    try:
        detect = haar_detector()
    except UserError as error:
        assert "pip install 'dual-hpc[faces]'" in str(error)
        pytest.skip("OpenCV 4 is not installed (extra: faces)")
    (found,) = detect(face)
    assert overlap(found, Box(60, 60, 120, 120)) > 0.4
