"""Decoded media to the bytes of a sample's members; the same input gives the same bytes.

Encoders run on one thread (x264 with several may split work by their number), and neither the containers nor the
streams carry a date or the writing program's version beyond x264's own note. Other versions of the libraries, or a
processor with other vector instructions, may round some pixels differently: one data set is packed on one kind of node.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import av
import numpy as np
import soundfile
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from dual_hpc.data.format.sample import AUDIO_RATE

Picture = NDArray[np.uint8]  # RGB [H, W, 3]


def count_clipped(wave: NDArray[np.float32]) -> int:
    """Samples beyond full scale, whose value `encode_flac` does not keep."""
    return int(np.count_nonzero(np.abs(wave) > 1.0))


def encode_flac(wave: NDArray[np.float32]) -> bytes:
    """Mono 16 kHz 16 bit FLAC of samples in [-1, 1]; louder ones are clipped."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(wave, -1.0, 1.0), AUDIO_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def constant_rate(
    pictures: Iterable[tuple[float, Picture]], start: float, fps: Fraction, until: Callable[[], float] = lambda: 0.0
) -> Iterator[Picture]:
    """Pictures at a constant rate: number k is the one shown at start + k / fps, so gaps repeat and excess is dropped.

    A first picture that comes late is shown from the beginning, so that the rest stays in step with its audio. Half a
    picture of tolerance keeps a source of that very rate as it is, whatever its time stamps were rounded to.

    Args:
        until: asked at the end: seconds up to which the last picture is shown.
    """
    step, count = 1.0 / float(fps), 0
    held: Picture | None = None
    for seconds, picture in pictures:
        while start + (count + 0.5) * step <= seconds:
            yield picture if held is None else held
            count += 1
        held = picture
    if held is not None:
        yield held
        while start + (count + 1.5) * step <= until():
            yield held
            count += 1


def encode_mp4(pictures: Iterable[Picture], fps: Fraction, size: tuple[int, int], crf: int) -> tuple[bytes, int]:
    """H.264 in mp4 of RGB pictures, each scaled to `size` (width, height): (bytes, number of pictures).

    Key frames come twice a second, so that a reader that wants a few pictures per second decodes little else; no
    B-frames, so that order of decoding and of showing agree. No macroblock tree: x264's reads memory that it never
    wrote where a row has an odd number of macroblocks, and the same pictures then give other bytes now and then.
    """
    buffer, count = io.BytesIO(), 0
    scale = VideoReformatter()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        options = {
            "preset": "veryfast",
            "crf": str(crf),
            "bf": "0",
            "g": str(max(1, round(fps / 2))),
            "threads": "1",
            "x264-params": "mbtree=0",
        }
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = scale.reformat(frame, *size, format="yuv420p", interpolation=Interpolation.AREA, threads=1)
            frame.pts, frame.time_base = count, 1 / fps
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode())
    return buffer.getvalue(), count
