"""Open a media file and take its frames with their times (PyAV): any container, also a damaged one.

Sources are decoded in order, from the key frame before the wanted stretch, and placed by their own time stamps
(`timestamps.py` says which cannot be taken as they are).
All times are seconds from the beginning of the container, where its earliest stream starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import av

from dual_hpc.data.decoding.stream_choice import audio_stream, video_stream
from dual_hpc.data.decoding.timestamps import (
    ContinuousClock,
    changes_clock,
    decoding_delay,
    may_be_misstamped,
    on_one_clock,
    shown_seconds,
    stamped_in_decoding_order,
)
from dual_hpc.data.decoding.wave_header import excess
from dual_hpc.errors import UserError, one_line
from dual_hpc.files.file_kind import other_kind, stand_in, unwritten
from dual_hpc.files.regular_file import regular_descriptor

# Containers of audio and video only. ffmpeg also "plays" text files (tty), play lists and scripts that name other
# files or hosts (hls, concat, dash): with this list no file from a corpus can make it open a second one.
_CONTAINERS = (
    "mov,avi,matroska,wav,w64,flac,mp3,ogg,aac,ac3,eac3,aiff,au,asf,mpeg,mpegts,flv,mpegvideo,h264,hevc,m4v,amr,caf,gif,"
    "nistsphere,dv,mxf"
)
MAX_SIDE = 8192  # pixels; a header that claims more is damaged, and would cost gigabytes per picture
SEEK_LEAD = 1.0  # seconds of sound decoded before a wanted stretch, so that resampling and overlap are settled in it
_LONGEST = 24 * 3600.0  # seconds; a longer duration in a header is not valid
_FAULTS = (av.FFmpegError, ValueError, OverflowError, IndexError, MemoryError, EOFError, OSError)


class UnreadableMedia(UserError):
    """A file that is not media, is truncated, or lacks the wanted stream: one line, with the file's name."""


@dataclass(frozen=True)
class AudioInfo:
    """Format of an audio stream."""

    rate: int  # Hz
    channels: tuple[str, ...]  # ffmpeg's names: FL, FR, FC ...


@dataclass(frozen=True)
class VideoInfo:
    """Format of a video stream, before rotation."""

    width: int  # pixels
    height: int
    fps: Fraction  # average frames per second


@dataclass(frozen=True)
class MediaInfo:
    """What a file's headers say of its main streams; a missing one is None."""

    duration: float  # seconds, 0 where the container does not say
    audio: AudioInfo | None
    video: VideoInfo | None


@dataclass
class Findings:
    """What was odd in a stretch and had to be decided while it was read. Zero or False: nothing was."""

    container: str = ""  # ffmpeg's name of the file's format
    silence: float = 0.0  # seconds put in where the audio's time stamps have a gap
    overlap: float = 0.0  # seconds of audio cut off because time stamps overlap
    restarts: int = 0  # times that the file's clock starts again
    concealed: int = 0  # damaged pictures that the decoder patched up from their neighbours
    resized: int = 0  # pictures of another size than the first
    pictures: int = 0  # that were given
    shown_until: float = 0.0  # seconds at which the last of them ends, as far as it says
    cancelled: bool = False  # the channels are each other's opposite: their mix is (almost) silent


def probe(path: str | Path) -> MediaInfo:
    """Read a file's headers.

    Raises:
        UnreadableMedia: no such file, not media, or neither audio nor video in it.
    """
    with opened(path) as container:
        audio, video = _stream(container, path, "audio"), _stream(container, path, "video")
        if audio is None and video is None:
            raise UnreadableMedia(f"{path}: holds neither audio nor video that can be read")
        return MediaInfo(
            duration=_declared_seconds(container),
            audio=None if audio is None else AudioInfo(audio.rate, tuple(c.name for c in audio.layout.channels)),
            video=None if video is None else VideoInfo(video.width, video.height, _frame_rate(video)),
        )


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Turn whatever the decoder raises into one line that names the file."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UnreadableMedia(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise UnreadableMedia(f"{path}: is a folder, not a media file") from error
    except _FAULTS as error:
        if (found := stand_in(path)) is not None:
            raise UnreadableMedia(f"{path}: {found}") from error
        if (kind := other_kind(path)) is not None:
            raise UnreadableMedia(f"{path}: {kind}, not audio or video") from error
        reason = one_line(getattr(error, "strerror", None) or error, 120)
        raise UnreadableMedia(f"{path}: cannot be read as audio or video ({reason})") from error


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """A PyAV container of a file, which cannot make it open another one.

    Raises:
        UnreadableMedia: it cannot be opened, or reading fails while it is open.
    """
    with naming(path):
        os.close(regular_descriptor(path))
        if (found := unwritten(path)) is not None:
            raise UnreadableMedia(f"{path}: {found}")
        # "file:" keeps a name like "a:b" from being read as a protocol.
        options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
        with av.open(f"file:{path}", options=options, metadata_errors="replace") as container:
            _settle_layouts(container)
            yield container


def _settle_layouts(container: Any) -> None:
    """Replace channel layouts that a file spells out channel by channel (AIFF, CAF, MOV) by the named one.

    PyAV 18 shares the memory of such a layout between two objects, which both free it: the process crashes. Looked at
    once and replaced, it is freed once.
    """
    for stream in container.streams.audio:
        context = stream.codec_context
        if context is not None:
            layout = context.layout
            name = layout.name if "+" not in layout.name else f"{layout.nb_channels} channels"
            context.layout = av.AudioLayout(name)


def _video_stream(container: Any, path: str | Path) -> Any | None:
    stream = video_stream(container, partial(opened, path))
    if stream is not None and max(stream.width, stream.height) > MAX_SIDE:
        raise ValueError(f"picture of {stream.width}x{stream.height}")
    return stream


def _stream(container: Any, path: str | Path, kind: str) -> Any | None:
    if kind == "audio":
        return audio_stream(container, partial(opened, path))
    return _video_stream(container, path)


def _clocked(container: Any, path: str | Path, wanted: Any | None = None) -> list[Any]:
    """Streams whose packets say where a file's clock starts again, so that sound and picture are moved alike."""
    if wanted is not None and not changes_clock(container):
        return [wanted]
    reopen = partial(opened, path)
    streams = (audio_stream(container, reopen), video_stream(container, reopen))
    return [stream for stream in streams if stream is not None]


def _frame_rate(stream: Any) -> Fraction:
    rates: tuple[Any, ...] = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    if stream.start_time is None:  # a bare stream without time stamps: only its own header knows
        rates = (stream.guessed_rate, *rates)
    rate = next((rate for rate in rates if rate), None)
    return Fraction(rate) if rate and 0.1 < rate < 1000 else Fraction(25)


def _declared_seconds(container: Any) -> float:
    return max(0.0, float(container.duration or 0) / av.time_base)


def decoded(
    path: str | Path, kind: str, start: float, end: float | None, findings: Findings
) -> Iterator[tuple[float, Any]]:
    """(seconds, frame) from at or before `start` on, where the container can seek; else from its beginning.

    A file cut off in the middle decodes without an error, only shorter than its header says: that is refused, unless
    everything before `end` is there.
    """
    # A key frame needs nothing before it, and every second of lead would be as many pictures decoded for nothing.
    leads: tuple[float | None, ...] = (SEEK_LEAD, None) if kind == "audio" else (0.0, SEEK_LEAD, None)
    for lead in leads:
        seek = start - lead if lead is not None else 0.0
        if lead is not None and seek <= 0:
            continue
        with opened(path) as container:
            if seek > 0 and not _has_reliable_index(container, path):
                continue
            stream = _stream(container, path, kind)
            if stream is None:
                raise UnreadableMedia(f"{path}: has no {kind} stream")
            findings.container = container.format.name
            stream.codec_context.thread_count = 1  # workers are processes; more threads only fight for their cores
            delay = _held_back(path) if kind == "video" and may_be_misstamped(container, stream) else None
            origin = (container.start_time or 0) / av.time_base
            if seek > 0 and not _has_sought(container, seek + origin):
                continue
            clock = ContinuousClock(changes_clock(container))
            packets = on_one_clock(container.demux(_clocked(container, path, stream)), clock)
            frames = _timed(packets, stream, origin, delay)
            try:
                first = next(frames, None)
            except av.FFmpegError:
                if seek > 0:
                    continue  # in the middle of a frame
                raise
            if seek > 0 and (first is None or first[0] > start):
                continue  # an index that lies: read everything
            reached = 0.0
            for seconds, frame in frames if first is None else chain([first], frames):
                reached = seconds + (
                    frame.samples / frame.sample_rate if kind == "audio" else shown_seconds(frame, findings.container)
                )
                findings.restarts = max(findings.restarts, clock.restarts)
                yield seconds, frame
            declared = _declared(path, container, stream)
            wanted = declared if end is None else min(declared, end)
            if declared >= _LONGEST or clock.restarts or not _ends_early(reached, wanted):
                return
            # asf tells the length of the file for each of its streams.
            if container.format.name != "asf" or _ends_early(_last_packet(path), wanted):
                raise UnreadableMedia(f"{path}: is truncated, its {kind} ends at {reached:.2f} s of {declared:.2f} s")
            return


def _ends_early(reached: float, wanted: float) -> bool:
    return reached < 0.9 * wanted - 0.5


def _last_packet(path: str | Path) -> float:
    """Seconds at which the last packet of any stream begins."""
    with opened(path) as container:
        origin = (container.start_time or 0) / av.time_base
        stamps = (packet.pts * packet.time_base for packet in container.demux() if packet.pts is not None)
        return float(max(stamps, default=0)) - origin


def _timed(packets: Iterator[Any], stream: Any, origin: float, delay: int | None) -> Iterator[tuple[float, Any]]:
    """Frames of a stream with their seconds.

    Args:
        delay: of `decoding_delay`, for streams stamped in decoding order; None: frames carry their own time.
    """
    step = 1.0 / float(_frame_rate(stream)) if stream.type == "video" else 0.0
    following = 0.0
    for packet in packets:
        if packet.stream.index != stream.index:
            continue
        for frame in packet.decode():
            if delay is None:
                seconds = following if frame.time is None else frame.time - origin
            elif frame.dts is not None:
                seconds = float((frame.dts - delay) * frame.time_base) - origin
            else:  # the last ones, which no later packet has pushed out
                seconds = following
            following = seconds + (frame.samples / frame.sample_rate if stream.type == "audio" else step)
            yield seconds, frame


def _held_back(path: str | Path) -> int | None:
    """`decoding_delay` of a file's pictures; None where they carry the time at which they are shown."""
    return _once(path, _find_delay)


def _has_reliable_index(container: Any, path: str | Path) -> bool:
    """False where reading from the middle would give wrong times: MPEG program streams do not stamp every picture,
    and where time starts again the same time is there twice.
    """
    if container.format.name == "mpeg":
        return False
    return not changes_clock(container) or not _once(path, _count_restarts)


def _has_sought(container: Any, seconds: float) -> bool:
    try:
        container.seek(int(seconds * av.time_base))
    except av.FFmpegError:  # a bare stream
        return False
    return True


def _find_delay(path: str) -> int | None:
    for question in (stamped_in_decoding_order, decoding_delay):
        with opened(path) as container:
            stream = _video_stream(container, path)
            assert stream is not None, "asked of files with pictures"
            stream.codec_context.thread_count = 1
            answer = question(container, stream)
            if answer is False:
                return None
    return int(answer)


def _count_restarts(path: str) -> int:
    with opened(path) as container:
        clock = ContinuousClock(changes_clock(container))
        if changes_clock(container):
            for _ in on_one_clock(container.demux(_clocked(container, path)), clock):
                pass
        return clock.restarts


def _once(path: str | Path, question: Callable[[str], int | None]) -> int | None:
    """The answer about a file, which is asked for each of its utterances but read off it once."""
    try:
        status = os.stat(path)
    except OSError:
        return question(str(path))
    return _remembered(question, str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _remembered(question: Callable[[str], int | None], path: str, size: int, changed: int) -> int | None:
    return question(path)


def _declared(path: str | Path, container: Any, stream: Any) -> float:
    """Seconds of a stream by its header, 0 where it does not say."""
    seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    return seconds * excess(path) if container.format.name == "wav" else seconds
