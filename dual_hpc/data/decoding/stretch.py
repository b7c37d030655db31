"""The frames of a stretch of a media file, with their times: from the key frame before it, where the file can seek.

Frames are placed by their own time stamps (`timestamps.py` says which cannot be taken as they are). All times are
seconds from the beginning of the container, where its earliest stream starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import av

from dual_hpc.data.decoding import forward
from dual_hpc.data.decoding.container import (
    SEEK_LEAD,
    Findings,
    TruncatedMedia,
    UnreadableMedia,
    clocked,
    frame_rate,
    opened,
    stream_of,
    video_stream_of,
)
from dual_hpc.data.decoding.timestamps import (
    ContinuousClock,
    changes_clock,
    decoding_delay,
    may_be_misstamped,
    on_one_clock,
    shown_seconds,
    stamped_in_decoding_order,
)
from dual_hpc.data.decoding.wave_header import excess

_LONGEST = 24 * 3600.0  # seconds; a longer duration in a header is not valid


def decoded(
    path: str | Path, kind: str, start: float, end: float | None, findings: Findings
) -> Iterator[tuple[float, Any]]:
    """(seconds, frame) from at or before `start` on, where the container can seek; else from its beginning.

    A file cut off in the middle decodes without an error, only shorter than its header says: that is refused, unless
    everything before `end` is there. Within a `forward.ForwardReading`, a file that cannot seek is read once; without
    one it gives the same frames.
    """
    reading, tried = forward.current(), False
    if reading is not None and start > 0 and reading.has(str(path), kind):
        yield from _in_one_pass(reading, path, kind, start, end, findings)
        return
    # A key frame needs nothing before it, and every second of lead would be as many pictures decoded for nothing.
    leads: tuple[float | None, ...] = (SEEK_LEAD, None) if kind == "audio" else (0.0, SEEK_LEAD, None)
    for lead in leads:
        seek = start - lead if lead is not None else 0.0
        if lead is not None and seek <= 0:
            continue
        if lead is None and tried:
            alone = forward.ForwardReading()
            try:
                yield from _in_one_pass(reading or alone, path, kind, start, end, findings)
            finally:
                alone.close()
            return
        tried = True
        with opened(path) as container:
            if seek > 0 and not _has_reliable_index(container, path):
                continue
            stream = stream_of(container, path, kind)
            if stream is None:
                raise UnreadableMedia(f"{path}: has no {kind} stream")
            findings.container = container.format.name
            stream.codec_context.thread_count = 1  # workers are processes; more threads only fight for their cores
            delay = _held_back(path) if kind == "video" and may_be_misstamped(container, stream) else None
            origin = (container.start_time or 0) / av.time_base
            if seek > 0 and not _has_sought(container, seek + origin):
                continue
            clock = ContinuousClock(changes_clock(container))
            packets = on_one_clock(container.demux(clocked(container, path, stream)), clock)
            frames = _timed(packets, stream, origin, delay)
            try:
                first = next(frames, None)
            except av.FFmpegError:
                if seek > 0:
                    continue  # in the middle of a frame
                raise
            if seek > 0 and (first is None or first[0] > start):
                continue  # an index that lies: read everything
            reached = 0.0
            for seconds, frame in frames if first is None else chain([first], frames):
                reached = seconds + (
                    frame.samples / frame.sample_rate if kind == "audio" else shown_seconds(frame, findings.container)
                )
                findings.restarts = max(findings.restarts, clock.restarts)
                yield seconds, frame
            declared = _declared(path, container, stream)
            wanted = declared if end is None else min(declared, end)
            if declared >= _LONGEST or clock.restarts or not _ends_early(reached, wanted):
                return
            # asf tells the length of the file for each of its streams.
            if container.format.name != "asf" or _ends_early(_last_packet(path), wanted):
                found = max(0.0, reached)  # damaged time stamps
                error = TruncatedMedia(f"{path}: is truncated, its {kind} ends at {found:.2f} s of {declared:.2f} s")
                error.reached = reached
                raise error
            return


def _in_one_pass(
    reading: forward.ForwardReading, path: str | Path, kind: str, start: float, end: float | None, findings: Findings
) -> Iterator[tuple[float, Any]]:
    def begin() -> tuple[Iterator[tuple[float, Any]], Findings]:
        own = Findings()
        return decoded(path, kind, 0.0, None, own), own

    one = reading.frames(str(path), kind, start, begin)
    try:
        for seconds, frame in one.frames_from(start):
            findings.container = one.findings.container
            findings.restarts = max(findings.restarts, one.findings.restarts)
            yield seconds, frame
    except TruncatedMedia as error:
        if end is None or _ends_early(error.reached, end):
            raise


def _ends_early(reached: float, wanted: float) -> bool:
    return reached < 0.9 * wanted - 0.5


def _last_packet(path: str | Path) -> float:
    """Seconds at which the last packet of any stream begins."""
    with opened(path) as container:
        origin = (container.start_time or 0) / av.time_base
        stamps = (packet.pts * packet.time_base for packet in container.demux() if packet.pts is not None)
        return float(max(stamps, default=0)) - origin


def _timed(packets: Iterator[Any], stream: Any, origin: float, delay: int | None) -> Iterator[tuple[float, Any]]:
    """Frames of a stream with their seconds.

    Args:
        delay: of `decoding_delay`, for streams stamped in decoding order; None: frames carry their own time.
    """
    step = 1.0 / float(frame_rate(stream)) if stream.type == "video" else 0.0
    following = 0.0
    for packet in packets:
        if packet.stream.index != stream.index:
            continue
        for frame in packet.decode():
            if delay is None:
                seconds = following if frame.time is None else frame.time - origin
            elif frame.dts is not None:
                seconds = float((frame.dts - delay) * frame.time_base) - origin
            else:  # the last ones, which no later packet has pushed out
                seconds = following
            following = seconds + (frame.samples / frame.sample_rate if stream.type == "audio" else step)
            yield seconds, frame


def _held_back(path: str | Path) -> int | None:
    """`decoding_delay` of a file's pictures; None where they carry the time at which they are shown."""
    return _once(path, _find_delay)


def _has_reliable_index(container: Any, path: str | Path) -> bool:
    """False where reading from the middle would give wrong times: MPEG program streams do not stamp every picture,
    and where time starts again the same time is there twice.
    """
    if container.format.name == "mpeg":
        return False
    return not changes_clock(container) or not _once(path, _count_restarts)


def _has_sought(container: Any, seconds: float) -> bool:
    try:
        container.seek(int(seconds * av.time_base))
    except av.FFmpegError:  # a bare stream
        return False
    return True


def _find_delay(path: str) -> int | None:
    for question in (stamped_in_decoding_order, decoding_delay):
        with opened(path) as container:
            stream = video_stream_of(container, path)
            assert stream is not None, "asked of files with pictures"
            stream.codec_context.thread_count = 1
            answer = question(container, stream)
            if answer is False:
                return None
    return int(answer)


def _count_restarts(path: str) -> int:
    with opened(path) as container:
        clock = ContinuousClock(changes_clock(container))
        if changes_clock(container):
            for _ in on_one_clock(container.demux(clocked(container, path)), clock):
                pass
        return clock.restarts


def _once(path: str | Path, question: Callable[[str], int | None]) -> int | None:
    """The answer about a file, which is asked for each of its utterances but read off it once."""
    try:
        status = os.stat(path)
    except OSError:
        return question(str(path))
    return _remembered(question, str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _remembered(question: Callable[[str], int | None], path: str, size: int, changed: int) -> int | None:
    return question(path)


def _declared(path: str | Path, container: Any, stream: Any) -> float:
    """Seconds of a stream by its header, 0 where it does not say."""
    seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    return seconds * excess(path) if container.format.name == "wav" else seconds
