"""Decoded media to the bytes of a sample's members; the same input gives the same bytes.

Encoders run on one thread (x264 with several may split work by their number), and neither the containers nor the
streams carry a date or the writing program's version. Other versions of the libraries, or a
processor with other vector instructions, may round some pixels differently: one data set is packed on one kind of node.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import count

import av
import numpy as np
import soundfile
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dual_hpc.data.decoding.grid import STAMP_TOLERANCE
from dual_hpc.data.format.sample import AUDIO_RATE
from dual_hpc.data.preparation.record import GRID_HZ

Picture = NDArray[np.uint8]  # RGB [H, W, 3]

CODING = 2  # raised when the same pictures become other bytes; an index without it: 1 or earlier (`docs/house.md`)
# From a key frame to the next, at most: damage shows no longer. Most utterances are shorter and have one key frame; two
# would cost 3 % of the bytes, and a damaged sample is not decoded at all (CRC-32).
KEY_SECONDS = 4
# Steps of crf by which pictures may be coarser than in ordinary videos (no B-frames, adaptive quantisation) at the same
# error over all kinds of drawn clips (`make grid-coding`).
_COARSER = 0.5
# Types of pictures as they are told, and bits where they lower the squared error: a network is no eye.
_X264 = (
    "b-adapt=0:b-pyramid=none:scenecut=0:weightp=0:weightb=1:mbtree=0:"
    "aq-mode=0:psy=0:dct-decimate=0:trellis=1:pbratio=1.45:ref=3"
)
_NO_NOTE = "filter_units=remove_types=6"  # x264 writes its options into each file, 651 bytes


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
    step, given = 1.0 / float(fps), 0
    held: Picture | None = None
    for seconds, picture in pictures:
        while start + (given + 0.5) * step <= seconds:
            yield picture if held is None else held
            given += 1
        held = picture
    if held is not None:
        yield held
        while start + (given + 1.5) * step <= until():
            yield held
            given += 1


def picture_types(fps: Fraction, grid_hz: float) -> Iterator[PictureType]:
    """How each picture of a video is coded, without end: I or P if training looks at it, else B.

    I and P are references: they are predicted from each other and need no B, which a reader may therefore leave out.

    Args:
        grid_hz: training looks at the pictures on show at (k + 1/2) / grid_hz seconds.
    """
    every = max(1, int(KEY_SECONDS * grid_hz))  # as many pictures of the grid per key frame
    k = 0
    for number in count():
        kind = PictureType.B if number else PictureType.I
        while (k + 0.5) / grid_hz + STAMP_TOLERANCE < float((number + 1) / fps):
            if kind != PictureType.I:
                kind = PictureType.P if (k + 1) % every else PictureType.I
            k += 1
        yield kind


def encode_mp4(
    pictures: Iterable[Picture], fps: Fraction, size: tuple[int, int], crf: int, grid_hz: float = GRID_HZ
) -> tuple[bytes, int]:
    """H.264 in mp4 of RGB pictures, each scaled to `size` (width, height): (bytes, number of pictures).

    The pictures of a grid of times are references, all others B-frames to which none refers: who wants the grid alone
    decodes nothing else (`dual_hpc/data/decoding/disposable.py`), and any player plays it all. Key frames come every
    four seconds. No macroblock tree: x264's reads memory that it never wrote where a row has an odd number of
    macroblocks, and the same pictures then give other bytes now and then.
    """
    buffer, written, coded = io.BytesIO(), 0, 0
    scale = VideoReformatter()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        options = {
            "preset": "veryfast",
            "crf": str(crf + _COARSER if crf else 0),  # 0 is without loss
            "bf": "16",
            "g": str(max(1, round(KEY_SECONDS * fps))),
            "threads": "1",
            "x264-params": _X264,
        }
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for picture, kind in zip(pictures, picture_types(fps, grid_hz), strict=False):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = scale.reformat(frame, *size, format="yuv420p", interpolation=Interpolation.AREA, threads=1)
            frame.pts, frame.time_base, frame.pict_type = written, 1 / fps, kind
            coded += _put(container, stream, stream.encode(frame), coded)
            written += 1
        _put(container, stream, stream.encode(), coded)
    return buffer.getvalue(), written


def _put(container: OutputContainer, stream: VideoStream, packets: Iterable[Packet], before: int) -> int:
    """Write coded pictures, of which `before` are written; the first without its note. How many they are."""
    count = 0
    for packet in packets:
        if before + count:
            container.mux(packet)
        else:
            for bare in BitStreamFilterContext(_NO_NOTE, stream).filter(packet):
                bare.stream = stream
                container.mux(bare)
        count += 1
    return count
