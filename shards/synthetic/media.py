"""Encoders: WAV through libsndfile, AVI (MPEG-4) and MP4 (H.264, AAC) through PyAV; the same input, the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

AAC_RATE = 48_000  # Hz
HOLD = 2  # frames per drawn picture: animated "on twos", which halves the cost
_BITEXACT = {"fflags": "+bitexact"}


def drawing_times(seconds: float, rate: Fraction) -> NDArray[np.floating]:
    """The moments, in seconds, of the pictures to draw for a video of this length; at least one."""
    drawn = rate / HOLD
    return (np.arange(max(1, round(seconds * drawn))) + 0.5) / float(drawn)


def write_wav(path: Path, samples: NDArray[np.floating], rate: int) -> None:
    """16-bit PCM; `samples` is [n] or [n, channels] in [-1, 1]."""
    soundfile.write(path, samples, rate, subtype="PCM_16", format="WAV")


def write_avi(path: Path, pictures: Iterable[NDArray[np.uint8]], size: tuple[int, int], rate: Fraction) -> None:
    """MPEG-4 without B-frames. `pictures` are chunks [n, h, w, 3], enlarged to `size` (width, height).

    Each picture stands for HOLD frames of `rate`.
    """
    with av.open(str(path), "w", format="avi", options=_BITEXACT) as container:
        stream = container.add_stream("mpeg4", rate=rate, options={"bf": "0", "qmin": "4", "qmax": "4", "g": "60"})
        _prepare(stream, size)
        _encode_pictures(container, stream, pictures, size, rate)


def write_mp4(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    size: tuple[int, int],
    rate: Fraction,
    audio: NDArray[np.float32] | None,
) -> None:
    """H.264 and AAC at 48 kHz; pictures as in `write_avi`.

    Args:
        audio: [channels, n] at 48 kHz in [-1, 1]: two channels are stereo, six are 5.1 (FL FR FC LFE BL BR); None: no
            sound.
    """
    with av.open(str(path), "w", format="mp4", options=_BITEXACT) as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "qp": "27"})
        _prepare(video, size)
        if audio is None:
            _encode_pictures(container, video, pictures, size, rate)
            return
        layout = {2: "stereo", 6: "5.1"}[len(audio)]
        sound = container.add_stream("aac", rate=AAC_RATE, layout=layout, options={"aac_coder": "fast"})
        sound.codec_context.thread_count = 1
        sound.codec_context.flags |= av.codec.context.Flags.bitexact
        _encode_pictures(container, video, pictures, size, rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), format="fltp", layout=layout)
        frame.sample_rate = AAC_RATE
        frame.pts = 0
        fifo = av.AudioFifo()
        fifo.write(frame)
        while block := fifo.read(1024, partial=True):
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))


def to_aac_rate(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Mono samples [n] resampled to 48 kHz (linear: the source has nothing near its own band limit)."""
    count = len(samples) * AAC_RATE // rate
    return np.interp(np.arange(count) * rate / AAC_RATE, np.arange(len(samples)), samples).astype(np.float32)


def _prepare(stream: Any, size: tuple[int, int]) -> None:
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.thread_count = 1  # several threads cut the picture differently
    stream.codec_context.flags |= av.codec.context.Flags.bitexact


def _encode_pictures(
    container: Any, stream: Any, pictures: Iterable[NDArray[np.uint8]], size: tuple[int, int], rate: Fraction
) -> None:
    number = 0
    for chunk in pictures:
        for picture in chunk:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(size[0], size[1], format="yuv420p", interpolation="FAST_BILINEAR")
            frame.time_base = 1 / rate
            for _ in range(HOLD):
                frame.pts = number
                container.mux(stream.encode(frame))
                number += 1
    container.mux(stream.encode(None))
