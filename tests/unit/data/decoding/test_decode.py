"""Members to arrays: the right pictures at the right times, by either decoder; damage is a DecodeError, never more."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding import decode
from dual_hpc.data.decoding.decode import DecodeError, decode_audio, decode_features, decode_text, decode_video
from dual_hpc.data.decoding.decoder_counts import PYAV
from dual_hpc.data.decoding.grid import frame_times
from dual_hpc.data.loader import EvalLoader
from tests.unit.data.conftest import FPS, flac_of, mp4_of, settings


@given(st.floats(0.01, 60), st.floats(0.5, 30), st.floats(0.1, 30))
def test_pictures_are_taken_in_the_middle_of_each_interval_inside_the_clip(
    duration: float, hz: float, longest: float
) -> None:
    times = frame_times(duration, hz, longest)
    assert len(times) >= 1 and times[0] == 0.5 / hz
    assert np.allclose(np.diff(times), 1 / hz)
    seconds = min(duration, longest)
    assert len(times) == 1 or times[-1] < seconds
    assert times[-1] + 1 / hz >= seconds - 1e-5


@pytest.mark.parametrize("duration", [0.04, 0.6, 2.0])
def test_the_picture_at_each_time_is_taken(duration: float) -> None:
    times = frame_times(duration, 5.0, 20.0)
    frames = decode_video(mp4_of(duration), duration, 5.0, 20.0, 32)
    assert frames.shape == (len(times), 32, 32, 3) and frames.dtype == np.uint8
    last = max(1, round(duration * FPS)) - 1
    expected = [min(int(t * FPS), last) * 5 for t in times]
    assert np.abs(frames.mean((1, 2, 3)) - expected).max() < 2.5  # neighbours differ by 5


def test_only_the_first_max_seconds_are_decoded() -> None:
    assert len(decode_video(mp4_of(2.0), 2.0, 5.0, 1.0, 32)) == 5
    assert len(decode_audio(flac_of(2.0), 1.0)) == 16000


def test_a_clip_whose_duration_exceeds_its_pictures_repeats_the_last() -> None:
    frames = decode_video(mp4_of(0.2), 1.0, 5.0, 20.0, 32)
    assert len(frames) == 5 and np.abs(frames[1:].mean((1, 2, 3)) - 20).max() < 2.5


def test_audio_is_what_was_written() -> None:
    flac = flac_of(0.5, seed=4)
    assert np.array_equal(decode_audio(flac, 20.0), soundfile.read(io.BytesIO(flac), dtype="float32")[0])


def encoded(wave: Any, rate: Any) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format="FLAC")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "flac",
    [b"", b"not audio", flac_of(0.5)[:40], encoded(np.zeros((100, 2)), 16000), encoded(np.zeros(100), 8000)],
    ids=["empty", "noise", "head only", "stereo", "8 kHz"],
)
def test_wrong_audio_is_a_bad_sample(flac: Any) -> None:
    with pytest.raises(DecodeError, match="audio"):
        decode_audio(flac, 20.0)


@pytest.mark.parametrize("mp4", [b"", b"not video", mp4_of(0.5)[:200]], ids=["empty", "noise", "head only"])
def test_wrong_video_is_a_bad_sample(mp4: Any) -> None:
    with pytest.raises(DecodeError, match="video"):
        decode_video(mp4, 0.5, 5.0, 20.0, 32)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255), st.booleans())
def test_a_flipped_byte_is_decoded_or_is_a_bad_sample(place: int, flip: int, audio: bool) -> None:
    data = bytearray(flac_of(0.3) if audio else mp4_of(0.4))
    data[place % len(data)] ^= flip
    try:
        if audio:
            assert np.isfinite(decode_audio(bytes(data), 20.0)).all()
        else:
            assert decode_video(bytes(data), 0.4, 5.0, 20.0, 32).shape == (2, 32, 32, 3)
    except DecodeError:
        pass


def test_text_is_stripped_and_must_be_utf8() -> None:
    assert decode_text(" naïve\r\n".encode()) == "naïve"
    with pytest.raises(DecodeError, match="text"):
        decode_text(b"\xff\xfe")


def test_features_must_be_plain_finite_and_of_the_right_width() -> None:
    def npy(array: Any, **options: Any) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, array, **options)
        return buffer.getvalue()

    good = np.ones((3, 4), np.float16)
    assert np.array_equal(decode_features(npy(good), 4, "<f2"), good)
    bad = [good[:0], good[:, :2], good.astype("f4"), good * np.nan, np.array([{}], object), np.float16(1), good[0]]
    for array in bad:
        with pytest.raises(DecodeError, match="features"):
            decode_features(npy(array, allow_pickle=True), 4, "<f2")
    archive = io.BytesIO()
    np.savez(archive, good)
    with pytest.raises(DecodeError, match="archive"):
        decode_features(archive.getvalue(), 4, "<f2")


@given(st.integers(0, 159), st.binary(min_size=1, max_size=4))
def test_features_with_a_damaged_header_are_features_or_a_bad_sample(place: int, junk: bytes) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ones((4, 4), np.float16))
    data = bytearray(buffer.getvalue())
    data[place : place + len(junk)] = junk
    with contextlib.suppress(DecodeError):
        assert np.isfinite(decode_features(bytes(data), 4, "<f2")).all()


@pytest.mark.parametrize("size", [16, 24, 32, 48, 72, 112, 113, 224])
def test_every_size_is_given_and_the_decoder_is_named(size: int) -> None:
    frames, named = decode.decode_pictures(mp4_of(0.6), 0.6, 5.0, 20.0, size)
    assert frames.shape == (3, size, size, 3) and named == PYAV
    assert np.abs(frames.mean((1, 2, 3)) - [10, 35, 60]).max() < 2.5  # frames 2, 7 and 12 of 25 per second


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_counts_who_decoded_its_videos(folder: Path, workers: int) -> None:
    dataset = ShardDataset([folder])
    loader = EvalLoader(dataset, list(range(13)), [0] * 13, settings(image_size=48, workers=workers), None)
    try:
        list(loader)
    finally:
        loader.close()
    assert loader.decoders.as_dict() == {PYAV: 13}


def test_a_refusal_of_sound_names_what_is_wrong_and_no_address_in_memory() -> None:
    with pytest.raises(DecodeError, match=r"^audio: Format not recognised\.$"):
        decode_audio(bytes(100), 20.0)
