"""Open a media file (PyAV) and read what its headers say: any container, also a damaged one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av

from dual_hpc.data.decoding.stream_choice import audio_stream, video_stream
from dual_hpc.data.decoding.timestamps import changes_clock
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
_FAULTS = (av.FFmpegError, ValueError, OverflowError, IndexError, MemoryError, EOFError, OSError)


class UnreadableMedia(UserError):
    """A file that is not media, is truncated, or lacks the wanted stream: one line, with the file's name."""


class TruncatedMedia(UnreadableMedia):
    """A stream of a file ends at `reached` seconds, before its header says."""

    reached = 0.0


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
        audio, video = stream_of(container, path, "audio"), stream_of(container, path, "video")
        if audio is None and video is None:
            raise UnreadableMedia(f"{path}: holds neither audio nor video that can be read")
        return MediaInfo(
            duration=_declared_seconds(container),
            audio=None if audio is None else AudioInfo(audio.rate, tuple(c.name for c in audio.layout.channels)),
            video=None if video is None else VideoInfo(video.width, video.height, frame_rate(video)),
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
        reason = one_line(_said(error), 120)
        raise UnreadableMedia(f"{path}: cannot be read as audio or video ({reason})") from error


def _said(error: Exception) -> object:
    """A decoder's own words, but for those that name rights or disks: it has read the file, and found it damaged."""
    if isinstance(error, av.FFmpegError) and error.errno in (errno.EPERM, errno.EACCES, errno.EIO):
        return "its data are damaged"
    return getattr(error, "strerror", None) or error


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


def video_stream_of(container: Any, path: str | Path) -> Any | None:
    stream = video_stream(container, partial(opened, path))
    if stream is not None and max(stream.width, stream.height) > MAX_SIDE:
        raise ValueError(f"picture of {stream.width}x{stream.height}")
    return stream


def stream_of(container: Any, path: str | Path, kind: str) -> Any | None:
    if kind == "audio":
        return audio_stream(container, partial(opened, path))
    return video_stream_of(container, path)


def clocked(container: Any, path: str | Path, wanted: Any | None = None) -> list[Any]:
    """Streams whose packets say where a file's clock starts again, so that sound and picture are moved alike."""
    if wanted is not None and not changes_clock(container):
        return [wanted]
    reopen = partial(opened, path)
    streams = (audio_stream(container, reopen), video_stream(container, reopen))
    return [stream for stream in streams if stream is not None]


def frame_rate(stream: Any) -> Fraction:
    rates: tuple[Any, ...] = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    if stream.start_time is None:  # a bare stream without time stamps: only its own header knows
        rates = (stream.guessed_rate, *rates)
    rate = next((rate for rate in rates if rate), None)
    return Fraction(rate) if rate and 0.1 < rate < 1000 else Fraction(25)


def _declared_seconds(container: Any) -> float:
    return max(0.0, float(container.duration or 0) / av.time_base)
