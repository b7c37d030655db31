"""Decode no more of a video than some moments need: pictures that no other picture refers to are skipped unless shown.

Packing codes the pictures of a grid of times as references and all others as disposable B-frames
(`preparation/encode.py`). Which a file's pictures are, each says itself (H.264: `nal_ref_idc` is 0), and the decoder
goes by that: what is left out changes no bit of any other picture, whatever the file, the grid it was coded for, and
the times that are asked for. A file without disposable pictures, as shards of earlier versions hold, is decoded whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.grid import STAMP_TOLERANCE, pictures_at


def needed_frames(container: Any, stream: Any, times: NDArray[np.float64]) -> Iterator[Any]:
    """Frames of a stream in order of showing: those on show at the times, and those that others refer to.

    Args:
        container: opened by PyAV, read from its beginning.
        stream: a video stream of it.
        times: seconds from the first frame, ascending.
    """
    packets = _until(container.demux(stream), times[-1] + STAMP_TOLERANCE)
    shown, context = _shown(packets, times), stream.codec_context
    for packet in packets:
        if shown is not None:
            context.skip_frame = "DEFAULT" if packet.pts in shown else "NONREF"
        yield from context.decode(packet)
    yield from context.decode(None)


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
