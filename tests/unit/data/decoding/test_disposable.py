"""Pictures that nobody looks at are not decoded, and those taken are the same bit by bit, whoever coded them."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dual_hpc.data.decoding.decode import decode_video
from dual_hpc.data.decoding.grid import frame_times, pictures_at
from dual_hpc.data.preparation.encode import encode_mp4
from tests.media.every_picture_reference import encode_references
from tests.media.grid_coding import all_pictures, chosen, decoded_count, faults
from tests.media.scenes import KINDS, Scene, scene

SECONDS = 4.0
CLIP = [np.roll(np.arange(48 * 64 * 3).reshape(48, 64, 3), 5 * i, axis=1).astype(np.uint8) for i in range(120)]
CODED = encode_mp4(iter(CLIP), Fraction(30), (64, 48), 23, 5.0)[0]


@given(st.lists(st.floats(0, 50), min_size=1, unique=True), st.lists(st.floats(0, 60), min_size=1))
@example([0.1, 0.1 + 5e-7], [0.1 - 5e-7])
def test_the_picture_on_show_is_the_last_that_has_appeared(stamps: list[float], times: list[float]) -> None:
    stamps, times = sorted(stamps), sorted(times)
    for time, number in zip(times, pictures_at(np.array(stamps), np.array(times)), strict=True):
        appeared = [i for i, stamp in enumerate(stamps) if stamp <= time + 1e-6]
        assert number == (appeared[-1] if appeared else 0)


def test_the_coarser_the_grid_the_less_is_decoded() -> None:
    decoded = {hz: decoded_count(CODED, SECONDS, hz) for hz in (1.0, 5.0, 10.0, 30.0)}
    references = 20 + 5  # 5 per second, the first picture, the last, and one before each key frame
    assert decoded[1.0] <= decoded[5.0] <= references
    assert decoded[5.0] < 0.25 * decoded[30.0] and decoded[10.0] <= references + 40 and decoded[30.0] == 120


def test_shards_of_earlier_versions_are_decoded_whole() -> None:
    plain = encode_references(CLIP, Fraction(30), (64, 48), 23)
    assert decoded_count(plain, SECONDS, 5.0) >= 118  # up to the last that is looked at
    expected = chosen(all_pictures(plain), frame_times(SECONDS, 5.0, 20.0), 32)
    assert np.array_equal(decode_video(plain, SECONDS, 5.0, 20.0, 32), expected)


def test_a_clip_whose_beginning_is_taken_is_not_decoded_to_its_end() -> None:
    assert decoded_count(CODED, 1.0, 30.0) < 45


# The sweep (`make grid-coding`) draws thousands; these are among them.
@pytest.mark.parametrize("seed", range(60))
def test_the_fast_path_takes_the_pictures_of_a_full_decode(seed: int) -> None:
    one = scene(seed)
    assert not faults(one, encode_mp4(iter(one.pictures), one.fps, one.size, 30, one.grid_hz)[0]), one


def test_the_drawn_clips_are_of_every_kind() -> None:
    drawn = [scene(seed) for seed in range(60)]
    assert {one.kind for one in drawn} == set(KINDS) and {len(one.pictures) for one in drawn} & {1, 2}
    assert {one.variable for one in drawn} == {True, False} and any(height % 2 for height in _heights(drawn))


def _heights(drawn: list[Scene]) -> list[int]:
    return [one.pictures[0].shape[0] for one in drawn]


FOREIGN = {
    "x264 as it is": ("libx264", {}),
    "a pyramid of B-frames": ("libx264", {"bf": "8", "x264-params": "b-pyramid=normal:b-adapt=2"}),
    "open groups": ("libx264", {"g": "12", "bf": "3", "x264-params": "open-gop=1"}),
    "interlaced": ("libx264", {"bf": "2", "x264-params": "tff=1"}),
    "several slices": ("libx264", {"bf": "5", "x264-params": "slices=4"}),
    "periodic intra refresh": ("libx264", {"bf": "2", "x264-params": "intra-refresh=1"}),
    "MPEG-4": ("mpeg4", {"bf": "2"}),
    "HEVC": ("libx265", {"x265-params": "log-level=none:pools=none:frame-threads=1"}),
}


@settings(deadline=None, max_examples=8)
@pytest.mark.parametrize("coding", FOREIGN)
@given(hz=st.sampled_from([0.7, 1.0, 2.5, 5.0, 10.0, 24.0]), longest=st.floats(0.1, 5.0))
def test_videos_that_others_coded_give_the_pictures_of_a_full_decode(coding: str, hz: float, longest: float) -> None:
    if coding not in _FILES:
        _FILES[coding] = _coded(*FOREIGN[coding])
    expected = chosen(all_pictures(_FILES[coding]), frame_times(SECONDS, hz, longest), 48)
    assert np.array_equal(decode_video(_FILES[coding], SECONDS, hz, longest, 48), expected)


_FILES: dict[str, bytes] = {}


def _coded(codec: str, options: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream: Any = container.add_stream(codec, rate=30, options={"threads": "1", **options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in CLIP[:90]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()
