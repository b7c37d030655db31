"""Raw media to samples: what packing and prediction read corpora and user clips with.

All times are seconds from the beginning of the container, where its earliest stream starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from dual_hpc.data.decoding.container import MAX_SIDE, SEEK_LEAD, UnreadableMedia, decoded, naming
from dual_hpc.data.format.sample import AUDIO_RATE
from dual_hpc.errors import UserError

Channels = str | int  # "downmix", "center", or the number of a channel
_MAX_LATE_START = 10.0  # seconds of silence put before audio that begins late


def read_audio(
    path: str | Path, start: float | None = None, end: float | None = None, channels: Channels = "downmix"
) -> NDArray[np.float32]:
    """Mono float32 [n] at 16 kHz of the stretch [start, end) seconds; shorter where the file ends before.

    Args:
        channels: "downmix" mixes all, "center" takes the front centre (speech in 5.1; sources without one are mixed),
            a number takes that channel.

    Raises:
        UnreadableMedia: not media, no audio stream, no such channel, truncated, or nothing in the stretch.
    """
    begin = start or 0.0
    pieces: list[Any] = []
    first, row, resampler = 0.0, None, None
    with naming(path):
        for seconds, frame in decoded(path, "audio", begin, end):
            if end is not None and seconds >= end + SEEK_LEAD:
                break
            if resampler is None:
                first, row = seconds, _channel(path, tuple(c.name for c in frame.layout.channels), channels)
                layout = "mono" if row is None else frame.layout.name
                resampler = av.AudioResampler(format="fltp", layout=layout, rate=AUDIO_RATE)
            pieces.extend(out.to_ndarray() for out in resampler.resample(frame))
        if resampler is not None:
            pieces.extend(out.to_ndarray() for out in resampler.resample(None))
    if not pieces:
        raise UnreadableMedia(f"{path}: no audio could be decoded")
    wave = np.concatenate(pieces, axis=1)[row or 0]
    late = round((first - begin) * AUDIO_RATE)
    wave = wave[-late:] if late < 0 else np.pad(wave, (min(late, round(_MAX_LATE_START * AUDIO_RATE)), 0))
    if end is not None:
        wave = wave[: max(0, round((end - begin) * AUDIO_RATE))]
    if wave.size == 0:
        raise UnreadableMedia(f"{path}: no audio between {begin:.3f} s and {_said(end)}")
    return np.ascontiguousarray(np.nan_to_num(wave, nan=0.0, posinf=0.0, neginf=0.0), dtype=np.float32)


def iter_frames(
    path: str | Path,
    start: float | None = None,
    end: float | None = None,
    size: tuple[int, int] | None = None,
    concealed: Callable[[], None] = lambda: None,
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Pictures of the stretch [start, end) in order: (seconds from the container's beginning, RGB uint8 [H, W, 3]).

    The first picture is the one shown at `start`. Display rotation (phones) is applied.

    Args:
        size: (width, height) to scale to (even numbers), before rotation.
        concealed: called for each picture that is damaged and that the decoder patched up with what stood around it.

    Raises:
        UnreadableMedia: not media, no video stream, truncated, or no picture in the stretch.
    """
    begin = start or 0.0
    # Kept from picture to picture: setting a scaler up costs more than using it.
    scale, convert = VideoReformatter(), VideoReformatter()
    held: tuple[float, Any] | None = None
    last, given = 0.0, 0
    with naming(path):
        for seconds, frame in decoded(path, "video", begin, end):
            if frame.is_corrupt:
                concealed()
            last = seconds
            if end is not None and seconds >= end:
                break
            if seconds <= begin + 1e-6:
                held = (seconds, frame)
                continue
            if held is not None:
                yield held[0], _rgb(held[1], size, scale, convert)
                held, given = None, given + 1
            yield seconds, _rgb(frame, size, scale, convert)
            given += 1
        if held is not None and (end is None or end > begin):
            # A stretch that lies after the stream's end must not be answered with its last picture.
            if given == 0 and last + SEEK_LEAD < begin:
                held = None
            else:
                yield held[0], _rgb(held[1], size, scale, convert)
                given += 1
    if not given:
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
    frame: Any, size: tuple[int, int] | None, scale: VideoReformatter, convert: VideoReformatter
) -> NDArray[np.uint8]:
    if max(frame.width, frame.height) > MAX_SIDE:
        raise ValueError(f"picture of {frame.width}x{frame.height}")
    if size is not None:
        # Scaled as it is stored and converted afterwards: half the work of one step.
        frame = scale.reformat(frame, *size, format="yuv420p", interpolation=Interpolation.AREA, threads=1)
    picture: Any = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
    turns = round((frame.rotation or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _said(end: float | None) -> str:
    return "the end" if end is None else f"{end:.3f} s"
