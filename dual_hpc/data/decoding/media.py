"""Raw media to samples: what packing and prediction read corpora and user clips with.

All times are seconds from the beginning of the container, where its earliest stream starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from dual_hpc.data.decoding.container import (
    MAX_SIDE,
    SEEK_LEAD,
    Findings,
    UnreadableMedia,
    naming,
)
from dual_hpc.data.decoding.downmix import Mixer, channel_names, channel_samples
from dual_hpc.data.decoding.sound_timeline import SoundTimeline
from dual_hpc.data.decoding.stretch import decoded
from dual_hpc.data.decoding.timestamps import shown_seconds
from dual_hpc.errors import UserError

Channels = str | int  # "downmix", "center", or the number of a channel


def read_audio(
    path: str | Path,
    start: float | None = None,
    end: float | None = None,
    channels: Channels = "downmix",
    findings: Findings | None = None,
) -> NDArray[np.float32]:
    """Mono float32 [n] at 16 kHz of the stretch [start, end) seconds; shorter where the file ends before.

    Full scale is 1; a file of floating-point samples may exceed it. Where no sound is recorded inside the stretch, be
    it that it starts late or has a gap, there is silence.

    Args:
        channels: "downmix" mixes all (`downmix.py` says how loud each is), "center" takes the front centre (speech in
            5.1; sources without one are mixed), a number takes that channel.
        findings: filled with what was odd.

    Raises:
        UnreadableMedia: not media, no audio stream, no such channel, truncated, or nothing in the stretch.
    """
    begin, findings = start or 0.0, findings or Findings()
    timeline, mixer = SoundTimeline(begin, end), Mixer()
    with naming(path):
        for seconds, frame in decoded(path, "audio", begin, end, findings):
            names = channel_names(frame, findings.container)
            row = _channel(path, names, channels)
            sound = channel_samples(frame)
            inside = seconds + frame.samples / frame.sample_rate > begin and (end is None or seconds < end)
            timeline.add(seconds, frame.sample_rate, mixer.mix(sound, names, inside) if row is None else sound[row])
            if end is not None and seconds >= end + SEEK_LEAD:
                break
        if timeline.empty:
            raise UnreadableMedia(f"{path}: no audio could be decoded")
        wave = timeline.waveform(mixer.gain)
    findings.silence += timeline.silence
    findings.overlap += timeline.overlap
    findings.cancelled = findings.cancelled or mixer.cancelled
    if wave.size == 0:
        raise UnreadableMedia(f"{path}: no audio between {begin:.3f} s and {_said(end)}")
    return wave


def iter_frames(
    path: str | Path,
    start: float | None = None,
    end: float | None = None,
    size: tuple[int, int] | None = None,
    findings: Findings | None = None,
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Pictures of the stretch [start, end) in order: (seconds from the container's beginning, RGB uint8 [H, W, 3]).

    The first picture is the one shown at `start`. Display rotation (phones) is applied. All have the size of the first:
    where a recording changes its size, its later pictures are scaled.

    Args:
        size: (width, height) to scale to (even numbers), before rotation.
        findings: filled with what was odd.

    Raises:
        UnreadableMedia: not media, no video stream, truncated, or no picture in the stretch.
    """
    begin, findings = start or 0.0, findings or Findings()
    # Kept from picture to picture: setting a scaler up costs more than using it.
    scale, convert = VideoReformatter(), VideoReformatter()
    held: tuple[float, Any] | None = None
    native: tuple[int, int] | None = None  # size of the first picture
    last = 0.0
    with naming(path):
        for seconds, frame in decoded(path, "video", begin, end, findings):
            findings.concealed += bool(frame.is_corrupt)
            native = native or (frame.width, frame.height)
            findings.resized += native != (frame.width, frame.height)
            if end is not None and seconds >= end:
                break
            last, findings.shown_until = seconds, seconds + shown_seconds(frame, findings.container)
            if seconds <= begin + 1e-6:
                held = (seconds, frame)
                continue
            if held is not None:
                findings.pictures += 1
                yield held[0], _rgb(held[1], size, native, scale, convert)
                held = None
            findings.pictures += 1
            yield seconds, _rgb(frame, size, native, scale, convert)
        # A stretch that lies after the stream's end must not be answered with its last picture.
        is_there = max(last + SEEK_LEAD, findings.shown_until) >= begin
        if held is not None and is_there and (end is None or end > begin):
            findings.pictures += 1
            yield held[0], _rgb(held[1], size, native, scale, convert)
    if not findings.pictures:
        raise UnreadableMedia(f"{path}: no picture between {begin:.3f} s and {_said(end)}")


def _channel(path: str | Path, names: tuple[str, ...], wanted: Channels) -> int | None:
    """Row of the wanted channel; None to mix all."""
    if isinstance(wanted, int):
        if not 0 <= wanted < len(names):
            raise UnreadableMedia(f"{path}: has {len(names)} audio channels, channel {wanted} was asked for")
        return wanted
    if wanted not in ("downmix", "center"):
        raise UserError(f"audio channels: {wanted!r} is not one of downmix, center or a channel's number")
    return names.index("FC") if wanted == "center" and "FC" in names and len(names) > 1 else None


def _rgb(
    frame: Any,
    size: tuple[int, int] | None,
    native: tuple[int, int] | None,
    scale: VideoReformatter,
    convert: VideoReformatter,
) -> NDArray[np.uint8]:
    if max(frame.width, frame.height) > MAX_SIDE:
        raise ValueError(f"picture of {frame.width}x{frame.height}")
    if size is None and native != (frame.width, frame.height):
        size = native
    if size is not None:
        # Scaled as it is stored and converted afterwards: half the work of one step.
        frame = scale.reformat(frame, *size, format="yuv420p", interpolation=Interpolation.AREA, threads=1)
    picture: Any = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
    turns = round((frame.rotation or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _said(end: float | None) -> str:
    return "the end" if end is None else f"{end:.3f} s"
