"""The recording is read, not the thumbnail and not the commentary."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from dual_hpc.data.decoding.container import probe
from dual_hpc.data.decoding.media import iter_frames, read_audio
from dual_hpc.data.decoding.stream_choice import Candidate, choose
from tests.unit.data.decoding.test_media import loudest_hz, tone

MAIN = Candidate(index=1, extent=100, is_default=False, is_auxiliary=False, breadth=2)


@pytest.mark.parametrize(
    "other",
    [
        replace(MAIN, index=0, extent=1, is_default=True, breadth=1000),  # a thumbnail
        replace(MAIN, index=0, is_auxiliary=True, is_default=True, breadth=6),  # a commentary
        replace(MAIN, index=0, breadth=1),
        replace(MAIN, index=2),
    ],
)
def test_the_main_stream_is_chosen(other: Candidate) -> None:
    assert choose([other, MAIN]) == choose([MAIN, other]) == MAIN


def test_the_default_comes_before_more_channels() -> None:
    default = replace(MAIN, index=5, is_default=True)
    assert choose([replace(MAIN, breadth=6), default]) == default


def test_a_lone_auxiliary_stream_is_taken() -> None:
    assert choose([replace(MAIN, is_auxiliary=True)]).index == MAIN.index


def write_sounds(path: Path, tones: list[tuple[float, str, float, int, str]]) -> None:
    """Streams of (Hz, layout, seconds, disposition, title)."""
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for _, layout, _, disposition, title in tones:
            stream: Any = container.add_stream("aac", rate=48_000, layout=layout)
            stream.disposition = disposition
            stream.metadata["title"] = title
            streams.append(stream)
        for stream, (hz, layout, seconds, *_) in zip(streams, tones, strict=True):
            wave = np.tile(tone(hz, seconds), (len(stream.layout.channels), 1))
            for at in range(0, wave.shape[1], 1024):
                block = np.ascontiguousarray(wave[:, at : at + 1024])
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.rate, frame.pts = 48_000, at
                container.mux(stream.encode(frame))
            container.mux(stream.encode())


COMMENT = [(900.0, "stereo", 2.0, Disposition.comment, ""), (500.0, "stereo", 2.0, Disposition.default, "")]
TITLE = [(900.0, "stereo", 2.0, 0, "Director's commentary"), (500.0, "mono", 2.0, 0, "")]
CHANNELS = [(900.0, "mono", 2.0, 0, ""), (500.0, "stereo", 2.0, 0, "")]
LENGTH = [(900.0, "stereo", 0.3, 0, ""), (500.0, "mono", 2.0, 0, "")]


# mp4 keeps no title of a stream, and calls the first of its streams the default.
@pytest.mark.parametrize(
    ("suffix", "tones"),
    [("mkv", COMMENT), ("mkv", TITLE), ("mkv", CHANNELS), ("mkv", LENGTH), ("mp4", COMMENT), ("mp4", LENGTH)],
)
def test_the_main_sound_is_heard(tmp_path: Path, suffix: str, tones: list[tuple[float, str, float, int, str]]) -> None:
    write_sounds(tmp_path / f"a.{suffix}", tones)
    assert loudest_hz(read_audio(tmp_path / f"a.{suffix}")) == pytest.approx(500, abs=5)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_thumbnail_without_its_flag_does_not_replace_the_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        thumbnail = container.add_stream("mjpeg", rate=25)
        thumbnail.width, thumbnail.height, thumbnail.pix_fmt = 320, 240, "yuvj420p"
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for stream, count, (width, height) in ((thumbnail, 1, (320, 240)), (video, 20, (64, 48))):
            for number in range(count):
                picture = av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format="rgb24")
                frame = picture.reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    info = probe(path)
    assert info.video is not None and (info.video.width, info.video.height) == (64, 48)
    assert len(list(iter_frames(path))) == 20
