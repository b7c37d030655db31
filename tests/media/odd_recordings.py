"""Recordings that are odd and still recordings: rates, layouts, codecs, time stamps and streams of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sound:
    """A stream of a tone.

    Attributes:
        begin: seconds at which its first sample is stamped.
        level: 0 is silence.
    """

    codec: str = "aac"
    rate: int = 16_000
    layout: str = "mono"
    seconds: float = 0.6
    begin: float = 0.0
    level: float = 0.3


@dataclass(frozen=True)
class Pictures:
    """A stream of a wandering bar.

    Attributes:
        times: seconds of its pictures, where they are not evenly spaced.
    """

    codec: str = "libx264"
    fps: int = 10
    size: tuple[int, int] = (64, 48)
    seconds: float = 0.6
    begin: float = 0.0
    form: str = "yuv420p"
    times: Sequence[float] = ()
    options: dict[str, str] = field(default_factory=dict)


def write(path: Path, *streams: Sound | Pictures, cover: bool = False, words: bool = False, **container: Any) -> Path:
    """Write streams one after the other, as recorders do not, which any reader must take.

    Args:
        cover: with a picture of a record's sleeve.
        words: with subtitles.
    """
    with av.open(str(path), "w", **container) as out:
        made: list[tuple[Any, Iterator[Any]]] = []
        for one in streams:
            made.append(_sound(out, one) if isinstance(one, Sound) else _pictures(out, one))
        if cover:
            picture = out.add_stream("png", rate=1)
            picture.width = picture.height = 32
            picture.pix_fmt = "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
            made.append((picture, iter([av.VideoFrame.from_ndarray(_bar(0, (32, 32)), format="rgb24")])))
        texts = _subtitles(out, path.with_name(f"{path.name}.srt")) if words else []
        for stream, frames in made:
            for frame in [*frames, None]:
                out.mux(stream.encode(frame))
        for packet in texts:
            out.mux(packet)
    return path


def _subtitles(out: Any, file: Path) -> list[Any]:
    """A stream of subtitles, and its packets."""
    file.write_text("1\n00:00:00,000 --> 00:00:00,500\nhello\n")
    with av.open(str(file)) as read:
        stream = out.add_stream_from_template(read.streams.subtitles[0])
        packets = [packet for packet in read.demux() if packet.size]
        for packet in packets:
            packet.stream = stream
    file.unlink()
    return packets


def _sound(out: Any, one: Sound) -> tuple[Any, Iterator[Any]]:
    stream = out.add_stream(one.codec, rate=one.rate, layout=one.layout, options={"strict": "-2"})
    stream.time_base = Fraction(1, one.rate)
    channels = len(stream.layout.channels)
    count = round(one.seconds * one.rate)
    wave = one.level * np.sin(2 * np.pi * 220 * np.arange(count) / one.rate)

    def frames() -> Iterator[Any]:
        size = stream.codec_context.frame_size or 1024
        for at in range(0, count, size):
            block = np.repeat(wave[at : at + size].astype(np.float32), channels)[None]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="flt", layout=one.layout)
            frame.sample_rate, frame.time_base = one.rate, Fraction(1, one.rate)
            frame.pts = at + round(one.begin * one.rate)
            yield frame

    return stream, frames()


def _pictures(out: Any, one: Pictures) -> tuple[Any, Iterator[Any]]:
    stream = out.add_stream(one.codec, rate=one.fps, options={"strict": "-2", **one.options})
    stream.width, stream.height = one.size
    stream.pix_fmt = one.form
    stream.codec_context.thread_count = 1

    def frames() -> Iterator[Any]:
        times = one.times or [number / one.fps for number in range(max(1, round(one.seconds * one.fps)))]
        for number, seconds in enumerate(times):
            frame = av.VideoFrame.from_ndarray(_bar(number, one.size), format="rgb24").reformat(format=one.form)
            frame.pts, frame.time_base = round((seconds + one.begin) * 1000), Fraction(1, 1000)
            yield frame

    if one.times or one.begin:
        stream.codec_context.time_base = Fraction(1, 1000)
    return stream, frames()


def _bar(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    picture = np.full((size[1], size[0], 3), 40, np.uint8)
    picture[:, (3 * number) % max(1, size[0] - 4) :][:, :4] = (220, 60, 30)
    return picture


Writer = Callable[[Path], Path]
_BOTH = (Pictures(), Sound())
VIDEO_CODECS = {
    **{"libx265": "mkv", "mpeg4": "avi", "mpeg1video": "mpg", "mpeg2video": "mpg", "mjpeg": "avi", "ffv1": "mkv"},
    **{"libvpx": "webm", "libvpx-vp9": "webm", "wmv2": "wmv", "flv": "flv", "huffyuv": "avi", "prores_ks": "mov"},
    **{"rawvideo": "avi", "h263": "3gp", "png": "mov"},
}
_FORMS = {"mjpeg": "yuvj420p", "huffyuv": "yuv422p", "prores_ks": "yuv422p10le", "png": "rgb24"}
AUDIO_CODECS = {
    **{"pcm_u8": "wav", "pcm_s24le": "wav", "pcm_s32le": "wav", "pcm_f32le": "wav", "pcm_f64le": "wav"},
    **{"pcm_alaw": "wav", "pcm_mulaw": "wav", "adpcm_ms": "wav", "adpcm_ima_wav": "wav", "flac": "flac"},
    **{"libmp3lame": "mp3", "mp2": "mp2", "ac3": "ac3", "eac3": "eac3", "aac": "aac", "alac": "m4a"},
    **{"libopus": "ogg", "pcm_s16be": "aiff", "libopencore_amrnb": "amr"},
}
_RATES = {"libopus": 48_000, "libopencore_amrnb": 8_000, "mp2": 44_100, "ac3": 44_100, "eac3": 44_100}


def recordings() -> dict[str, Writer]:
    """File name -> what writes it; each must be answered."""
    made: dict[str, Writer] = {}

    def add(name: str, *streams: Sound | Pictures, **how: Any) -> None:
        made[name] = lambda path: write(path, *streams, **how)

    for codec, ending in VIDEO_CODECS.items():
        size = (176, 144) if codec == "h263" else (64, 48)
        fps = 25 if codec.startswith("mpeg") else 10
        quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
        form = _FORMS.get(codec, "yuv420p")
        add(f"video_{codec}.{ending}", Pictures(codec, form=form, size=size, fps=fps, options=quiet))
    for codec, ending in AUDIO_CODECS.items():
        add(f"audio_{codec}.{ending}", Sound(codec, rate=_RATES.get(codec, 16_000)))
    for form in ("yuv444p", "gray", "yuv420p10le", "yuvj420p"):
        add(f"form_{form}.mkv", Pictures("ffv1" if form == "gray" else "libx264", form=form))
    for rate in (8_000, 11_025, 22_050, 96_000, 192_000):
        add(f"rate_{rate}.wav", Sound("pcm_s16le", rate=rate))
    for layout in ("stereo", "2.1", "quad", "5.1", "7.1", "hexadecagonal"):
        add(f"layout_{layout}.wav", Sound("pcm_s16le", layout=layout))
    for width, height in ((2, 2), (48, 96), (16, 400), (1280, 32)):
        add(f"size_{width}x{height}.mp4", Pictures(size=(width, height)))
    for fps in (1, 60, 120):
        add(f"fps_{fps}.mp4", Pictures(fps=fps, seconds=2.0 if fps == 1 else 0.4))
    add("variable_rate.mp4", Pictures(times=(0, 0.02, 0.3, 0.31, 0.9)), Sound(seconds=1.0))
    add("silent.wav", Sound("pcm_s16le", level=0))
    add("silent.mp4", Pictures(), Sound(level=0))
    add("no_sound.mp4", Pictures())
    add("no_pictures.mp4", Sound())
    add("short.wav", Sound("pcm_s16le", seconds=0.05))
    add("short.mp4", Pictures(seconds=0.1), Sound(seconds=0.05))
    add("one_picture.mp4", Pictures(seconds=0.1))
    add("one_sample.wav", Sound("pcm_s16le", seconds=1 / 16_000))
    add("longer_sound.mp4", Pictures(seconds=0.3), Sound(seconds=2.0))
    add("longer_pictures.mp4", Pictures(seconds=2.0), Sound(seconds=0.3))
    add("late_sound.mkv", Pictures(), Sound(begin=0.4))
    add("late_pictures.mkv", Pictures(begin=0.4), Sound())
    add("begins_late.mkv", Pictures(begin=5000), Sound(begin=5000))
    add("negative.mkv", Pictures(begin=-0.3), Sound(begin=-0.3), options={"avoid_negative_ts": "disabled"})
    add("two_sounds.mkv", Pictures(), Sound(), Sound(level=0))
    add("two_pictures.mkv", Pictures(), Pictures(size=(32, 32)), Sound())
    add("subtitles.mkv", *_BOTH, words=True)
    add("cover.mp3", Sound("libmp3lame", rate=44_100), cover=True)
    add("fragments.mp4", *_BOTH, options={"movflags": "frag_keyframe+empty_moov"})
    add("faststart.mp4", *_BOTH, options={"movflags": "faststart"})
    add("half_an_hour.wav", Sound("pcm_u8", rate=8_000, seconds=1800))
    add("one_key_frame.mkv", Pictures(seconds=3, options={"g": "1000"}), Sound(seconds=3))
    return made
