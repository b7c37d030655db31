"""Which of several streams of a file is the recording: not the thumbnail, not the commentary.

Files name their main stream by a flag (ffmpeg's dispositions), by a title, or not at all. So first what is much shorter
than the longest is left out, then what is marked as something else, and among the rest the default, the one with most
channels or pixels, and at last the first is taken. ffmpeg's command line chooses much alike.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from av.stream import Disposition

# Pictures that are no recording at all: a song's cover, previews for a seek bar.
_COVER = Disposition.attached_pic | Disposition.timed_thumbnails
_AUXILIARY = reduce(
    or_,
    (
        *(Disposition.comment, Disposition.hearing_impaired, Disposition.visual_impaired, Disposition.descriptions),
        *(Disposition.clean_effects, Disposition.karaoke, Disposition.lyrics, Disposition.non_diegetic),
        *(Disposition.dependent, Disposition.still_image, Disposition.metadata),
    ),
)
_TITLES = re.compile(r"comment(ary|aire)|kommentar|audio.?description|thumbnail|cover\b", re.IGNORECASE)
_ENOUGH = 20_000  # packets of all streams that are counted to compare lengths

Reopen = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Candidate:
    """What the choice depends on."""

    index: int  # of the stream in its file
    extent: float  # pictures, or seconds of sound, as far as they were counted
    is_default: bool
    is_auxiliary: bool
    breadth: int  # channels or pixels


def choose(candidates: Iterable[Candidate]) -> Candidate:
    """The candidate that is the recording; at least one must be given."""
    given = list(candidates)
    longest = max(one.extent for one in given)
    whole = [one for one in given if 2 * one.extent >= longest]
    return max(whole, key=lambda one: (not one.is_auxiliary, one.is_default, one.breadth, -one.index))


def audio_stream(container: Any, reopen: Reopen) -> Any | None:
    """The sound of an opened file, None if it has none.

    Args:
        reopen: opens the same file once more, to compare streams where there are several.
    """
    usable = [s for s in container.streams.audio if s.codec_context and s.rate and s.channels]
    return _chosen(usable, reopen, lambda stream: int(stream.channels), _seconds)


def video_stream(container: Any, reopen: Reopen) -> Any | None:
    """The moving pictures of an opened file, None if it has none; the cover of a song is none."""
    usable = [
        stream
        for stream in container.streams.video
        if stream.codec_context and stream.width and stream.height and not stream.disposition & _COVER
    ]
    return _chosen(usable, reopen, lambda stream: int(stream.width) * int(stream.height), len)


def _chosen(
    streams: Sequence[Any],
    reopen: Reopen,
    breadth: Callable[[Any], int],
    extent: Callable[[list[float]], float],
) -> Any | None:
    if len(streams) <= 1:
        return streams[0] if streams else None
    times = _packet_times(reopen)
    best = choose(
        Candidate(
            index=stream.index,
            extent=extent(times[stream.index]),
            is_default=bool(stream.disposition & Disposition.default),
            is_auxiliary=bool(stream.disposition & _AUXILIARY) or bool(_TITLES.search(_title(stream))),
            breadth=breadth(stream),
        )
        for stream in streams
    )
    return next(stream for stream in streams if stream.index == best.index)


def _title(stream: Any) -> str:
    return " ".join(str(stream.metadata.get(key, "")) for key in ("title", "handler_name", "name"))


def _seconds(times: list[float]) -> float:
    return max(times) - min(times) if times else 0.0


def _packet_times(reopen: Reopen) -> defaultdict[int, list[float]]:
    """Seconds of each stream's packets, by index, among the first of the file; nothing is decoded."""
    times: defaultdict[int, list[float]] = defaultdict(list)
    with reopen() as container:
        for count, packet in enumerate(container.demux()):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.size:
                times[packet.stream.index].append(float((stamp or 0) * packet.time_base))
            if count >= _ENOUGH:
                break
    return times
