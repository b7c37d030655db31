"""A long recording as overlapping windows, each answered like a clip of its own, or as the turns of its speakers.

Each window is read by itself, from the key frame before it, so memory holds a few windows whatever the length of the
file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from dual_hpc.errors import UserError
from dual_hpc.inference.requests import Clip
from dual_hpc.inference.speaker_turns import Turn

USUAL = 6.0  # seconds of a window where nobody says: utterances last 2 to 8
_SHORTEST = 0.1  # seconds: a shorter rest of a turn or file gets no window


@dataclass(frozen=True)
class Windowing:
    """How a recording is cut.

    Attributes:
        seconds: of a window.
        hop: seconds from the beginning of a window to that of the next.
    """

    seconds: float
    hop: float

    @classmethod
    def of(cls, seconds: float | None, hop: float | None, longest: float) -> Windowing:
        """What the user says; where nothing, windows of `USUAL` seconds, as far as the model reads, by halves.

        Args:
            longest: seconds that the model reads of a clip.

        Raises:
            UserError: longer than the model reads, or no step forward.
        """
        wanted = min(USUAL, longest) if seconds is None else seconds
        step = wanted / 2 if hop is None else hop
        if not _SHORTEST <= wanted <= longest:
            raise UserError(f"--window: {wanted:g} is not between {_SHORTEST:g} and the {longest:g} s the model reads")
        if not _SHORTEST <= step <= wanted:
            raise UserError(f"--hop: {step:g} is not between {_SHORTEST:g} and the window, {wanted:g} s")
        return cls(wanted, step)


def windows(begin: float, end: float | None, how: Windowing) -> Iterator[tuple[float, float]]:
    """(start, end) of each window of the stretch; the last one ends with it. Without an end they go on for ever."""
    for number in count():
        start = begin + number * how.hop
        if end is None:
            yield start, start + how.seconds
            continue
        yield start, min(start + how.seconds, end)
        if start + how.seconds >= end - _SHORTEST:
            return


def cut(clip: Clip, duration: float, how: Windowing, turns: Sequence[Turn] = ()) -> Iterator[Clip]:
    """The windows of a recording, or of its speakers' turns, as clips; a clip of one window keeps its text.

    Args:
        duration: seconds of the file; 0 where it does not say, and then windows go on for ever.
    """
    begin, end = clip.start or 0.0, clip.end
    if duration:
        end = duration if end is None else min(end, duration)
    if not turns:
        if end is not None and end - begin <= how.seconds + _SHORTEST:
            yield clip  # to the bit the answer that it has without windows
            return
        yield from (replace(clip, start=a, end=b, text=None) for a, b in windows(begin, end, how))
        return
    for turn in turns:
        first, last = max(turn.start, begin), turn.end if end is None else min(turn.end, end)
        if last - first < _SHORTEST:
            continue
        for a, b in windows(first, last, how):
            yield replace(clip, start=a, end=b, text=None, extra={**clip.extra, "speaker": turn.speaker})
