"""Coded pictures are found where FFmpeg's demuxer finds them, and every file that is not plain is left to FFmpeg."""

from __future__ import annotations

import contextlib
import io
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.data.decoding.decode import decode_video
from dual_hpc.data.decoding.disposable import needed_frames
from dual_hpc.data.decoding.grid import frame_times
from dual_hpc.data.decoding.h264_units import NotPlainError, is_disposable, is_key
from dual_hpc.data.decoding.mp4_pictures import read_mp4
from dual_hpc.data.preparation.encode import encode_mp4
from tests.media.every_picture_reference import encode_references
from tests.media.grid_coding import all_pictures, chosen

CLIP = [np.roll(np.arange(48 * 64 * 3).reshape(48, 64, 3), 5 * i, axis=1).astype(np.uint8) for i in range(45)]
PACKED = encode_mp4(iter(CLIP), Fraction(15), (64, 48), 23, 5.0)[0]
EARLIER = encode_references(CLIP, Fraction(15), (64, 48), 23)


@pytest.mark.parametrize("mp4", [PACKED, EARLIER, encode_mp4(iter(CLIP[:1]), Fraction(15), (64, 48), 23)[0]])
def test_pictures_are_where_the_demuxer_finds_them(mp4: bytes) -> None:
    found = read_mp4(mp4)
    with av.open(io.BytesIO(mp4)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert found.header == stream.codec_context.extradata and found.unit == stream.time_base
    assert [mp4[begin:end] for begin, end in found.spans] == [bytes(packet) for packet in packets]
    stamps = [packet.pts or 0 for packet in packets]
    assert (found.stamps - found.stamps[0]).tolist() == [stamp - stamps[0] for stamp in stamps]
    assert [is_key(mp4, span) for span in found.spans.tolist()] == [packet.is_keyframe for packet in packets]


def test_disposable_pictures_are_those_between_the_pictures_of_the_grid() -> None:
    spans = read_mp4(PACKED).spans.tolist()
    disposable = sum(is_disposable(PACKED, span) for span in spans)
    assert len(spans) == 45 and 45 * 0.55 < disposable <= 45 * 2 / 3
    assert not any(is_disposable(EARLIER, span) for span in read_mp4(EARLIER).spans.tolist())


def coded(
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    streams: int = 1,
    muxer: dict[str, str] | None = None,
) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options=muxer or {}) as container:
        added: list[Any] = [container.add_stream(codec, rate=15, options=options) for _ in range(streams)]
        for stream in added:
            stream.width, stream.height, stream.pix_fmt, stream.thread_count = 64, 48, "yuv420p", 1
        for stream in added:
            for picture in CLIP:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    return buffer.getvalue()


def box(mp4: bytes, kind: bytes, at: int, form: str, *values: int) -> bytes:
    """The file with other values in a box, `at` bytes after its type."""
    changed = bytearray(mp4)
    struct.pack_into(form, changed, mp4.index(kind) + 4 + at, *values)
    return bytes(changed)


NOT_PLAIN = {
    "fragments": coded(muxer={"movflags": "frag_keyframe+empty_moov"}),
    "two tracks": coded(streams=2),
    "another codec": coded("mpeg4"),
    "HEVC": coded("libx265", {"x265-params": "log-level=none:pools=none:frame-threads=1"}),
    "an edit that leaves out the beginning": box(PACKED, b"elst", 12, ">i", 15 * 1024),
    "an edit that leaves out the end": box(PACKED, b"elst", 8, ">I", 1000),
    "an edit that plays slowly": box(PACKED, b"elst", 16, ">I", 1 << 15),
    "pictures that are all shown at once": box(EARLIER, b"stts", 12, ">I", 0),
    "a picture without bytes": box(PACKED, b"stsz", 12, ">I", 0),
    "more pictures than bytes": box(PACKED, b"stsz", 4, ">II", 1000, 2**32 - 1),
    "units of two bytes' length": box(PACKED, b"avcC", 4, ">B", 0xFD),
}


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_what_is_not_plain_is_left_to_ffmpeg(kind: str) -> None:
    with pytest.raises(NotPlainError):
        read_mp4(NOT_PLAIN[kind])


@pytest.mark.parametrize("kind", list(NOT_PLAIN)[:5])
def test_what_is_left_to_ffmpeg_gives_the_pictures_of_a_full_decode(kind: str) -> None:
    expected = chosen(all_pictures(NOT_PLAIN[kind]), frame_times(3.0, 5.0, 20.0), 32)
    assert np.array_equal(decode_video(NOT_PLAIN[kind], 3.0, 5.0, 20.0, 32), expected)


def test_a_stream_that_does_not_say_how_far_it_is_reordered_is_left_to_ffmpeg() -> None:
    """The decoder alone guesses, and gives pictures late or not at all."""
    mp4 = coded(options={"bf": "3", "x264-params": "b-pyramid=normal:b-adapt=0"})
    silent = _without_bitstream_restriction(mp4)
    with contextlib.suppress(NotPlainError):
        seconds = [appears for appears, _ in needed_frames(silent, np.arange(45) / 15 + 0.01)]
        assert seconds == sorted(seconds) and len(seconds) == 45
    expected = chosen(all_pictures(mp4), frame_times(3.0, 15.0, 20.0), 32)
    assert np.array_equal(decode_video(silent, 3.0, 15.0, 20.0, 32), expected)


def _without_bitstream_restriction(mp4: bytes) -> bytes:
    """The same file, of which the sequence's header ends without the limits of reordering."""
    header = read_mp4(mp4).header
    length = int.from_bytes(header[6:8], "big")
    bits = f"{int.from_bytes(header[8 : 8 + length], 'big'):0{8 * length}b}"
    stop = bits.rindex("1")
    # bitstream_restriction_flag, motion_vectors_over_pic_boundaries_flag, six Exp-Golomb numbers, the stop bit
    for begin in range(stop - 12, stop - 80, -1):
        numbers: list[int] = []
        at = begin + 2
        while at < stop and len(numbers) < 6:
            zeros = bits.index("1", at) - at
            numbers.append(int(bits[at + zeros : at + 2 * zeros + 1], 2) - 1)
            at += 2 * zeros + 1
        if bits[begin : begin + 2] == "11" and len(numbers) == 6 and at == stop and numbers[4] == 2:
            changed = bits[:begin] + "01" + "0" * (len(bits) - begin - 2)
            return mp4.replace(header[8 : 8 + length], int(changed, 2).to_bytes(length, "big"))
    raise AssertionError("x264 writes other headers")


@settings(deadline=None, max_examples=400)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=6))
def test_a_damaged_table_is_found_or_harmless(place: int, junk: bytes) -> None:
    moov = PACKED.index(b"moov")
    place = moov + 4 + place % (len(PACKED) - moov - 4)
    damaged = PACKED[:place] + junk + PACKED[place + len(junk) :]
    with contextlib.suppress(NotPlainError):
        found = read_mp4(damaged)
        assert found.spans.min() >= 0 and found.spans.max() <= len(damaged)
        for span in found.spans.tolist():
            is_disposable(damaged, span)
