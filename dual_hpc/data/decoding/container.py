"""Open a media file and take its frames with their times (PyAV): any container, also a damaged one.

Sources are decoded in order, from the key frame before the wanted stretch, and placed by their own time stamps (decord
returns wrong frames, silently, on AVI with B-frames). All times are seconds from the beginning of the container, where
its earliest stream starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av

from dual_hpc.errors import UserError, one_line

# Containers of audio and video only. ffmpeg also "plays" text files (tty), play lists and scripts that name other
# files or hosts (hls, concat, dash): with this list no file from a corpus can make it open a second one.
_CONTAINERS = "mov,avi,matroska,wav,w64,flac,mp3,ogg,aac,aiff,au,asf,mpeg,mpegts,flv,mpegvideo,h264,m4v,amr,caf,gif"
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
    """What a file's headers say; a missing stream is None."""

    duration: float  # seconds, 0 where the container does not say
    audio: AudioInfo | None
    video: VideoInfo | None


def probe(path: str | Path) -> MediaInfo:
    """Read a file's headers.

    Raises:
        UnreadableMedia: no such file, not media, or neither audio nor video in it.
    """
    with _opened(path) as container:
        audio, video = _audio_stream(container), _video_stream(container)
        if audio is None and video is None:
            raise UnreadableMedia(f"{path}: holds neither audio nor video")
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
        reason = one_line(getattr(error, "strerror", None) or error, 120)
        raise UnreadableMedia(f"{path}: cannot be read as audio or video ({reason})") from error


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    with naming(path):
        if Path(path).is_dir():
            raise UnreadableMedia(f"{path}: is a folder, not a media file")
        # "file:" keeps a name like "a:b" from being read as a protocol.
        options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
        with av.open(f"file:{path}", options=options, metadata_errors="replace") as container:
            yield container


def _audio_stream(container: Any) -> Any | None:
    return next((s for s in container.streams.audio if s.codec_context and s.rate and s.channels), None)


def _video_stream(container: Any) -> Any | None:
    """The first stream of moving pictures; the cover of a song is none."""
    for stream in container.streams.video:
        cover = stream.disposition & av.stream.Disposition.attached_pic
        if cover or not stream.codec_context or not (stream.width and stream.height):
            continue
        if max(stream.width, stream.height) > MAX_SIDE:
            raise ValueError(f"picture of {stream.width}x{stream.height}")
        return stream
    return None


def _frame_rate(stream: Any) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return Fraction(rate) if rate and 0.1 < rate < 1000 else Fraction(25)


def _declared_seconds(container: Any) -> float:
    return max(0.0, float(container.duration or 0) / av.time_base)


def decoded(path: str | Path, kind: str, start: float, end: float | None) -> Iterator[tuple[float, Any]]:
    """(seconds, frame) from at or before `start` on, where the container can seek; else from its beginning.

    A file cut off in the middle decodes without an error, only shorter than its header says: that is refused, unless
    everything before `end` is there.
    """
    # A key frame needs nothing before it, and every second of lead would be as many pictures decoded for nothing.
    for lead in (SEEK_LEAD, None) if kind == "audio" else (0.0, SEEK_LEAD, None):
        seek = start - lead if lead is not None else 0.0
        if lead is not None and seek <= 0:
            continue
        with _opened(path) as container:
            stream = _audio_stream(container) if kind == "audio" else _video_stream(container)
            if stream is None:
                raise UnreadableMedia(f"{path}: has no {kind} stream")
            stream.codec_context.thread_count = 1  # workers are processes; more threads only fight for their cores
            origin = (container.start_time or 0) / av.time_base
            if seek > 0:
                container.seek(int((seek + origin) * av.time_base))
            frames = _timed(container, stream, origin)
            first = next(frames, None)
            if seek > 0 and (first is None or first[0] > start):
                continue  # an index that lies: read everything
            reached = 0.0
            for seconds, frame in frames if first is None else chain([first], frames):
                reached = seconds + (frame.samples / frame.sample_rate if kind == "audio" else 0.0)
                yield seconds, frame
            declared = _declared(path, container, stream)
            wanted = declared if end is None else min(declared, end)
            if declared < _LONGEST and reached < 0.9 * wanted - 0.5:
                raise UnreadableMedia(f"{path}: is truncated, its {kind} ends at {reached:.2f} s of {declared:.2f} s")
            return


def _timed(container: Any, stream: Any, origin: float) -> Iterator[tuple[float, Any]]:
    step = 1.0 / float(_frame_rate(stream)) if stream.type == "video" else 0.0
    following = 0.0
    for frame in container.decode(stream):
        seconds = following if frame.time is None else frame.time - origin
        if stream.type == "video":
            if container.format.name == "avi":
                # AVI has decoding times only: pictures come late by the depth of the B-frame reordering.
                seconds -= stream.codec_context.has_b_frames * step
            following = seconds + step
        else:
            following = seconds + frame.samples / frame.sample_rate
        yield seconds, frame


def _declared(path: str | Path, container: Any, stream: Any) -> float:
    """Seconds of a stream by its header, 0 where it does not say."""
    seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    return seconds * _riff_excess(path) if container.format.name == "wav" else seconds


def _riff_excess(path: str | Path) -> float:
    """How many times larger a RIFF file says it is; its reader believes the file's size and hides the loss."""
    with open(path, "rb") as file:
        head = file.read(8)
    claimed = int.from_bytes(head[4:8], "little")
    if head[:4] != b"RIFF" or claimed >= 0x7FFFFF00:  # written to a pipe: size unknown
        return 1.0
    return max(1.0, (claimed + 8) / max(1, Path(path).stat().st_size))
