"""Decode no more of a video than some moments need: pictures that no other picture refers to are skipped unless shown.

Packing codes the pictures of a grid of times as references and all others as disposable B-frames
(`preparation/encode.py`). Which a file's pictures are, each says itself (H.264: `nal_ref_idc` is 0), and the decoder
goes by that: what is left out changes no bit of any other picture, whatever the file, the grid it was coded for, and
the times that are asked for. A file without disposable pictures, as shards of earlier versions hold, is decoded whole.

FFmpeg's demuxer decodes the first pictures to open a file, and each coded picture passes through Python, wanted or not.
So the pictures of a plain mp4 are found by `mp4_pictures.py`, and only those needed are touched.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.grid import STAMP_TOLERANCE, pictures_at
from dual_hpc.data.decoding.h264_units import NotPlainError, is_disposable, is_key
from dual_hpc.data.decoding.mp4_pictures import Mp4Pictures, read_mp4


def needed_frames(mp4: bytes, times: NDArray[np.float64]) -> Iterator[tuple[float, Any]]:
    """(seconds from the first, frame) in order of showing: those on show at the times, and those that others refer to.

    Only the pictures that are needed are given to the decoder, all on the calling thread.

    Args:
        times: seconds from the first frame, ascending.

    Raises:
        NotPlainError: the file needs a demuxer (`demuxed_frames`), which may be found after some frames were given.
    """
    import av

    file = read_mp4(mp4)
    numbers = _needed(mp4, file, times)
    stamps, spans = file.stamps[numbers].tolist(), file.spans[numbers].tolist()
    due, first = iter(sorted(stamps)), stamps[0]
    context: Any = av.CodecContext.create("h264", "r")
    context.extradata, context.thread_count = file.header, 1
    for stamp, (begin, end) in [*zip(stamps, spans, strict=True), (None, (0, 0))]:
        packet = None if stamp is None else av.Packet(mp4[begin:end])
        if packet is not None:
            packet.pts = stamp
        for frame in context.decode(packet):
            # A stream that does not say how far pictures are reordered: what a demuxer finds out from its first ones.
            if frame.pts != next(due, None):
                raise NotPlainError("pictures come in another order than they are shown")
            yield float((frame.pts - first) * file.unit), frame
    if next(due, None) is not None:
        raise NotPlainError("pictures are missing")


def demuxed_frames(mp4: bytes, times: NDArray[np.float64]) -> Iterator[tuple[float, Any]]:
    """`needed_frames` of any file that FFmpeg reads."""
    import av

    with av.open(io.BytesIO(mp4), "r") as container:
        stream: Any = container.streams.video[0]
        context = stream.codec_context
        context.thread_count = 1
        packets = _until(container.demux(stream), times[-1] + STAMP_TOLERANCE)
        shown = _shown(packets, times)
        unit, first = Fraction(stream.time_base or 1), None  # frames that come last carry no unit of their own
        for packet in [*packets, None]:
            if shown is not None and packet is not None:
                context.skip_frame = "DEFAULT" if packet.pts in shown else "NONREF"
            for frame in context.decode(packet):
                stamp = frame.pts or 0
                first = stamp if first is None else first
                yield float((stamp - first) * unit), frame


def _needed(mp4: bytes, file: Mp4Pictures, times: NDArray[np.float64]) -> list[int]:
    """Numbers of the pictures, in order of decoding, that must be decoded for those on show at the times."""
    spans, order = file.spans.tolist(), np.argsort(file.stamps)
    if not is_key(mp4, spans[0]):
        raise NotPlainError("begins with a picture that refers to others")
    seconds = (file.stamps[order] - file.stamps[0]) / file.unit.denominator
    shown = set(order[pictures_at(seconds, times)].tolist())
    return [number for number in range(max(shown) + 1) if number in shown or not is_disposable(mp4, spans[number])]


def _until(packets: Iterator[Any], end: float) -> list[Any]:
    """Packets of all frames that appear up to `end` seconds after the first; others among and after them.

    No frame appears before it is decoded, so the first packet that is decoded later ends the search.
    """
    taken: list[Any] = []
    for packet in packets:
        if not packet.size:
            continue
        taken.append(packet)
        first = taken[0].pts
        if first is not None and packet.dts is not None and (packet.dts - first) * packet.time_base > end:
            break
    return taken


def _shown(packets: Sequence[Any], times: NDArray[np.float64]) -> set[int] | None:
    """Time stamps of the frames that are on show at the times; None where stamps do not tell: all must be decoded."""
    stamps = [packet.pts for packet in packets if not packet.is_discard]
    if not stamps or None in stamps or len(set(stamps)) < len(stamps) or packets[0].pts != min(stamps):
        return None
    unit, ordered = Fraction(packets[0].time_base), sorted(stamps)
    seconds = np.array([float((stamp - ordered[0]) * unit) for stamp in ordered])
    return {ordered[number] for number in pictures_at(seconds, times).tolist()}
