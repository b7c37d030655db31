"""Files whose truth is known: beeps at known times, each of its own pitch, and pictures that carry their number.

Every container x video codec x audio codec x layout x offset x gap that PyAV can write. Offsets and gaps are made on
the packets, so that they are in the file as a recorder would leave them: time stamps that begin late or leave something
out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

FPS, PICTURES = 25, 60
BITS = 6  # of a picture's number, as columns, most of them wide enough for any codec
SECONDS = PICTURES / FPS
BEEPS = {0.3: 600.0, 0.9: 900.0, 1.5: 1300.0, 2.1: 1800.0}  # seconds -> Hz
BEEP_SECONDS, LEVEL = 0.05, 0.5
AUDIO_GAP, VIDEO_GAP = (1.2, 1.9), (1.2, 1.6)  # seconds in which nothing was recorded


@dataclass(frozen=True)
class Clip:
    """One file to write.

    Attributes:
        video, audio: encoder, with "+b" behind it for B-frames; None: no such stream.
        layout: ffmpeg's name; `center` puts the sound into the front centre channel alone, else all channels have it.
        audio_offset, video_offset: seconds by which a stream starts late.
    """

    container: str
    video: str | None
    audio: str | None
    layout: str = "mono"
    center: bool = False
    audio_offset: float = 0.0
    video_offset: float = 0.0
    audio_gap: bool = False
    video_gap: bool = False

    @property
    def name(self) -> str:
        """Unique, and a file name."""
        parts = [self.container, self.video or "", self.audio or "", self.layout + ("-center" if self.center else "")]
        parts += [f"a{self.audio_offset:g}" if self.audio_offset else "", f"v{self.video_offset:g}"]
        parts += ["agap" if self.audio_gap else "", "vgap" if self.video_gap else ""]
        return "_".join(part for part in parts if part and part != "v0")

    def beeps(self) -> dict[float, float]:
        """Seconds -> Hz of what must be heard."""
        return {at + self.audio_offset: hz for at, hz in BEEPS.items() if not (self.audio_gap and _in_gap(at))}

    def silent(self) -> dict[float, float]:
        """Seconds -> Hz of the beeps that were not recorded."""
        return {at + self.audio_offset: hz for at, hz in BEEPS.items() if self.audio_gap and _in_gap(at)}


def _in_gap(seconds: float) -> bool:
    return AUDIO_GAP[0] <= seconds < AUDIO_GAP[1]


@dataclass(frozen=True)
class Written:
    """A file and how much earlier than its zero its first packet is: containers without negative times shift it."""

    path: Path
    lead: float  # seconds


def write(clip: Clip, folder: Path) -> Written | None:
    """Write a clip; None where this PyAV cannot."""
    path = folder / f"{clip.name}.{_SUFFIXES.get(clip.container, clip.container)}"
    try:
        with av.open(str(path), "w", format=clip.container) as container:
            packets: list[tuple[float, Any]] = []
            video = None if clip.video is None else _video_stream(container, clip.video)
            audio = None if clip.audio is None else _audio_stream(container, clip)
            if video is not None:
                packets += _video_packets(video, clip)
            if audio is not None:
                packets += _audio_packets(audio, clip)
            packets.sort(key=lambda pair: pair[0])
            # The same for all: containers that cannot hold negative times move every stream by it.
            lead = max(0.0, -min(float(packet.pts * packet.time_base) for _, packet in packets))
            for _, packet in packets:
                container.mux(packet)
    except (av.FFmpegError, ValueError, TypeError, NotImplementedError, MemoryError):
        path.unlink(missing_ok=True)
        return None
    return Written(path, lead)


def picture(number: int) -> NDArray[np.uint8]:
    """RGB with the number's bits as black and white columns."""
    columns = np.repeat([255 * (number >> bit & 1) for bit in range(BITS)], 32).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(columns[None, :, None], (96, 32 * BITS, 3)))


def number_of(shown: NDArray[np.uint8]) -> int:
    """The number that a picture carries, at whatever size."""
    width = shown.shape[1] / BITS
    return sum(
        1 << bit
        for bit in range(BITS)
        if shown[:, round(width * (bit + 0.25)) : round(width * (bit + 0.75))].mean() > 127
    )


def sound(rate: int) -> NDArray[np.float32]:
    """The beeps, mono float32 [n]."""
    seconds = np.arange(round(SECONDS * rate)) / rate
    wave = np.zeros(seconds.size)
    for at, hz in BEEPS.items():
        inside = (seconds >= at) & (seconds < at + BEEP_SECONDS)
        wave[inside] = LEVEL * np.sin(2 * np.pi * hz * (seconds[inside] - at))
    return wave.astype(np.float32)


def _video_stream(container: Any, codec: str) -> Any:
    encoder, _, b_frames = codec.partition("+")
    options = {"g": "12", "bf": "2" if b_frames else "0", "strict": "-2", **_VIDEO_OPTIONS.get(encoder, {})}
    stream = container.add_stream(encoder, rate=FPS, options=options)
    stream.width, stream.height = _SIZES.get(encoder, (32 * BITS, 96))
    formats = stream.codec_context.codec.video_formats or []
    names = [one.name for one in formats]
    stream.pix_fmt = "yuv420p" if not names or "yuv420p" in names else names[0]
    stream.bit_rate = 2_000_000
    return stream


def _video_packets(stream: Any, clip: Clip) -> Iterator[tuple[float, Any]]:
    first, last = VIDEO_GAP if clip.video_gap else (9.0, 9.0)
    scale = VideoReformatter()
    frames: list[Any] = [None]
    for number in reversed(range(PICTURES)):
        if first <= number / FPS < last:
            continue
        frame = scale.reformat(
            av.VideoFrame.from_ndarray(picture(number), format="rgb24"), stream.width, stream.height, stream.pix_fmt
        )
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        frames.append(frame)
    for frame in reversed(frames):
        yield from _shifted(stream.encode(frame), clip.video_offset)


def _audio_stream(container: Any, clip: Clip) -> Any:
    assert clip.audio is not None
    rate = _RATES.get(clip.audio, 48_000)
    stream = container.add_stream(clip.audio, rate=rate, layout=clip.layout, options={"strict": "-2"})
    if not clip.audio.startswith(("pcm", "flac", "alac", "adpcm", "tta", "wavpack", "g7")):
        stream.bit_rate = {"libopencore_amrnb": 12_200}.get(clip.audio, 64_000 * len(stream.layout.channels))
    return stream


def _audio_packets(stream: Any, clip: Clip) -> Iterator[tuple[float, Any]]:
    first, last = AUDIO_GAP if clip.audio_gap else (1e9, 1e9)
    rate, names = stream.rate, [channel.name for channel in stream.layout.channels]
    wave = sound(rate)
    heard = {"FC"} if clip.center else set(names) - {"LFE"}
    rows = [wave if name in heard else np.zeros_like(wave) for name in names]
    channels = np.stack(rows)
    size = stream.codec_context.frame_size or 1024
    blocks: list[Any] = []
    for at in range(0, wave.size, size):
        block = np.ascontiguousarray(channels[:, at : at + size].T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout=clip.layout)
        frame.rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        blocks.append(frame)
    for frame in [*blocks, None]:
        for seconds, packet in _shifted(stream.encode(frame), clip.audio_offset):
            if not first <= seconds - clip.audio_offset < last:
                yield seconds, packet


def _shifted(packets: Any, offset: float) -> Iterator[tuple[float, Any]]:
    for packet in packets:
        moved = round(offset / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + moved
        packet.dts = packet.pts if packet.dts is None else packet.dts + moved
        yield float(packet.dts * packet.time_base), packet


_SUFFIXES = {"matroska": "mkv", "mpegts": "ts", "mpeg": "mpg", "asf": "wmv", "adts": "aac", "ipod": "m4a"}
_SIZES = {"h263": (176, 144), "dvvideo": (720, 576)}
_RATES = {"libopencore_amrnb": 8000, "g722": 16_000, "nellymoser": 44_100, "mp3": 44_100}
_VIDEO_OPTIONS = {
    "libx264": {"preset": "veryfast", "b_strategy": "0"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
}
# Container -> video codecs, audio codecs. What it cannot hold together is not written.
_STAMPED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mp4": (("libx264", "libx264+b", "mpeg4+b", "mjpeg"), ("aac", "ac3", "libmp3lame", "alac", "libopus")),
    "mov": (("libx264+b", "mjpeg", "prores_ks"), ("pcm_s16le", "pcm_s24le", "aac")),
    "matroska": (
        ("libx264+b", "mpeg4+b", "mpeg2video+b", "ffv1"),
        ("aac", "ac3", "eac3", "flac", "pcm_s16le", "pcm_f32le", "libopus", "vorbis", "mp2", "libmp3lame"),
    ),
    "webm": (("libvpx", "libvpx-vp9"), ("libopus", "vorbis")),
    "mpegts": (("libx264+b", "mpeg2video+b"), ("aac", "mp2", "ac3", "eac3", "libmp3lame", "libopus")),
    "mpeg": (("mpeg2video+b", "mpeg1video"), ("mp2", "ac3")),
    "vob": (("mpeg2video+b",), ("mp2", "ac3")),
    "flv": (("libx264+b", "flv"), ("aac", "mp3")),
    "asf": (("wmv2", "msmpeg4"), ("wmav2", "libmp3lame")),
    "3gp": (("h263", "libx264+b"), ("libopencore_amrnb", "aac")),
}
# Here a stream begins at the beginning and has no gaps: the format counts samples or pictures and knows no times.
_COUNTED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "avi": (
        ("mpeg4", "mpeg4+b", "libx264", "libx264+b", "mpeg2video+b", "msmpeg4v2", "mjpeg", "ffv1"),
        ("pcm_s16le", "pcm_u8", "libmp3lame", "ac3", "mp2"),
    ),
    "mxf": (("mpeg2video", "mpeg2video+b"), ("pcm_s16le",)),
    "h264": (("libx264", "libx264+b"), ()),
    "m4v": (("mpeg4", "mpeg4+b"), ()),
    "wav": (
        (),
        (
            *("pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
            *("pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav"),
        ),
    ),
    "w64": ((), ("pcm_s16le", "pcm_f32le")),
    "flac": ((), ("flac",)),
    "mp3": ((), ("libmp3lame",)),
    "adts": ((), ("aac",)),
    "aiff": ((), ("pcm_s16be", "pcm_s24be")),
    "au": ((), ("pcm_s16be", "pcm_mulaw")),
    "caf": ((), ("pcm_s16le", "alac")),
    "amr": ((), ("libopencore_amrnb",)),
    "ac3": ((), ("ac3",)),
    "eac3": ((), ("eac3",)),
    "ogg": ((), ("vorbis", "libopus", "flac")),
    "ipod": ((), ("aac", "alac")),
}
_NAMELESS = ("au", "aiff", "caf")  # do not say which channel is the centre, in words that PyAV keeps
_LAYOUTS = (("stereo", False), ("5.1", True), ("5.1", False), ("7.1", True), ("quad", False), ("5.0", False))


def all_clips() -> Iterator[Clip]:
    """Every clip of the set; some of them cannot be written."""
    for container, (videos, audios) in {**_STAMPED, **_COUNTED}.items():
        for video in videos or (None,):
            for number, audio in enumerate(audios or (None,)):
                plain = Clip(container, video, audio)
                yield plain
                if audio is not None:
                    # The layout is the audio decoder's matter: once per codec and container will do.
                    wanted = _LAYOUTS if video in (videos or (None,))[:1] else _LAYOUTS[number % len(_LAYOUTS) :][:1]
                    yield from (
                        replace(plain, layout=layout, center=center)
                        for layout, center in wanted
                        if not (center and container in _NAMELESS)
                    )
                if container in _STAMPED:
                    yield from (clip for clip in _moved(plain) if not _is_lost(clip))
                elif container == "avi":
                    yield replace(plain, video_gap=True)


def _is_lost(clip: Clip) -> bool:
    """True for gaps that are not in the file that PyAV writes."""
    counts_samples = clip.container == "mov" and (clip.audio or "").startswith("pcm")
    # Small pictures share a packet of the program stream, which has one time stamp.
    shares_stamps = clip.container in ("mpeg", "vob")
    return (clip.audio_gap and counts_samples) or (clip.video_gap and shares_stamps)


def _moved(plain: Clip) -> Iterator[Clip]:
    yield replace(plain, audio_offset=0.5)
    yield replace(plain, audio_offset=12.0)
    yield replace(plain, video_offset=0.52)
    yield replace(plain, audio_gap=True)
    yield replace(plain, video_gap=True)
    yield replace(plain, layout="stereo", audio_offset=0.26, audio_gap=True, video_gap=True)
