"""Time stamps that cannot be taken as they are: clocks that start again, and pictures stamped in decoding order.

All of it works on packets and frames of an opened file (PyAV); nothing is opened here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

_BACKWARD = 0.5  # seconds; more is a clock that started again, less is overlap
_FORWARD = 3600.0  # seconds; more is another clock, in formats whose clock may change; less is a gap
_MAY_CHANGE_CLOCK = 0x0200  # AVFMT_TS_DISCONT: broadcast formats (mpegts, mpeg), which are cut and joined anywhere
_LONGEST_DELAY = 40  # packets that a decoder may hold back (H.264: 16 pictures, in two fields each)
_STORES_DURATIONS = frozenset({"gif", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})  # of each picture
_LOOKED_AT = 64  # packets, to see whether they are stamped in the order of showing


def changes_clock(container: Any) -> bool:
    """True for formats in which time may start again in the middle: broadcasts, and live streams that reconnect."""
    return bool(container.format.flags & _MAY_CHANGE_CLOCK) or container.format.name in ("flv", "ogg")


class ContinuousClock:
    """Time stamps of a file's packets on one clock: where it starts again, time goes on from where it stopped.

    All streams are moved together, so that sound and picture stay beside each other.
    """

    def __init__(self, forward: bool) -> None:
        """`forward`: a jump of more than an hour is a change of clock, too."""
        self._forward = forward
        self._offsets = [0.0]  # seconds that each clock's stamps are moved by
        self._clock: dict[int, int] = {}  # stream -> its clock's place in `_offsets`
        self._last: dict[int, float] = {}  # stream -> seconds on the common clock of its last packet
        self._end = -math.inf  # seconds on the common clock that all streams together have come to

    @property
    def restarts(self) -> int:
        """How often the clock has started again so far."""
        return len(self._offsets) - 1

    def shift(self, stream: int, order: float, shown: float, duration: float) -> float:
        """Seconds to add to a packet's stamps; packets must come in the file's order.

        Args:
            order: seconds of the stamp that ascends from packet to packet (for pictures that of decoding).
            shown: seconds of the stamp of presentation.
        """
        clock = self._clock.setdefault(stream, len(self._offsets) - 1)
        last = self._last.get(stream)
        if last is not None and self._jumps(order + self._offsets[clock] - last):
            # Another stream may have come to the new clock before.
            if clock + 1 < len(self._offsets) and not self._jumps(order + self._offsets[clock + 1] - last):
                clock += 1
            else:
                self._offsets.append(self._end - shown)
                clock = len(self._offsets) - 1
            self._clock[stream] = clock
        offset = self._offsets[clock]
        self._last[stream] = order + offset
        self._end = max(self._end, shown + offset + duration)
        return offset

    def _jumps(self, step: float) -> bool:
        return step < -_BACKWARD or (self._forward and step > _FORWARD)


def on_one_clock(packets: Iterator[Any], clock: ContinuousClock) -> Iterator[Any]:
    """The packets of a file with their stamps moved where the clock has started again."""
    for packet in packets:
        # Presentation times of pictures go back and forth by themselves.
        order = packet.pts if packet.dts is None and packet.stream.type == "audio" else packet.dts
        if order is not None and packet.time_base:
            unit = float(packet.time_base)
            shown = order if packet.pts is None else packet.pts
            seconds = clock.shift(packet.stream.index, order * unit, shown * unit, (packet.duration or 0) * unit)
            if moved := round(seconds / unit):
                packet.pts = None if packet.pts is None else packet.pts + moved
                packet.dts = None if packet.dts is None else packet.dts + moved
        yield packet


def may_be_misstamped(container: Any, stream: Any) -> bool:
    """True where it is worth the reading of some packets to ask `stamped_in_decoding_order`."""
    return container.format.name == "avi" or bool(stream.codec_context.has_b_frames)


def stamped_in_decoding_order(container: Any, stream: Any) -> bool:
    """True if pictures are shown in another order than the stamps of the first packets say. Reads from the beginning.

    AVI knows no other order, and files made from AVI without a thought keep it.
    """
    if container.format.name == "avi":
        return True
    if not stream.codec_context.has_b_frames:
        return False
    packets = list(islice((p for p in container.demux(stream) if p.size), _LOOKED_AT))
    apart = {None if p.pts is None or p.dts is None else p.pts - p.dts for p in packets}
    if len(apart) > 1 or apart == {None}:
        return False  # somebody has written both, or nobody either
    shown = [frame.pts for packet in packets for frame in packet.decode() if frame.pts is not None]
    return shown != sorted(shown)


def decoding_delay(container: Any, stream: Any) -> int:
    """Time units from a packet to the picture that is put out when it is decoded. Reads from the beginning.

    Pictures come in their order, each when a later packet is decoded, whose stamp counts on steadily. The first picture
    is shown at the first stamp; so the difference holds for all, with what an encoder that begins late (XviD) adds.
    """
    first: int | None = None
    for count, packet in enumerate(container.demux(stream)):
        if first is None and packet.dts is not None:
            first = packet.dts
        for frame in packet.decode():
            if first is not None and frame.dts is not None:
                return int(frame.dts - first)
        if count > _LONGEST_DELAY:
            break
    return 0


def shown_seconds(frame: Any, container: str) -> float:
    """How long a picture is shown; 0 where the container (ffmpeg's name) does not store that for each picture.

    In others ffmpeg reckons: in AVI that is cut off the last picture lasts up to the end that the header tells.
    """
    stored = container in _STORES_DURATIONS and frame.duration and frame.time_base
    return max(0.0, float(frame.duration * frame.time_base)) if stored else 0.0
