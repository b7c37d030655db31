"""A long recording as overlapping windows, each answered like a clip of its own, or as the turns of its speakers.

Each window is read by itself, from the key frame before it, so memory holds a few windows whatever the length of the
file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.files.csv_text import csv_rows
from dual_hpc.files.regular_file import read_text
from dual_hpc.inference.requests import Clip

USUAL = 6.0  # seconds of a window where nobody says: utterances last 2 to 8
_SHORTEST = 0.1  # seconds: a shorter rest of a turn or file gets no window
_MOST = 1_000_000  # windows or turns of one recording


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


@dataclass(frozen=True)
class Turn:
    """What one speaker says, in seconds."""

    start: float
    end: float
    speaker: str


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


def read_turns(path: Path) -> list[Turn]:
    """Speaker turns in the order of their beginnings: an RTTM file, or a CSV file with start, end and speaker.

    Raises:
        UserError: it cannot be read; names the line.
    """
    try:
        text = read_text(path, "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--turns: {path} cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
        ) from error
    if path.suffix.lower() == ".csv":
        found = _turns_of_table(path, text)
    else:
        found = [
            _rttm(path, number, line.split()) for number, line in enumerate(text.splitlines(), 1) if _is_turn(line)
        ]
    if not found:
        raise UserError(f"--turns: {path} holds no turns; give RTTM, or a CSV file with the columns start,end,speaker")
    if len(found) > _MOST:
        raise UserError(f"--turns: {path} holds more than {_MOST:,} turns")
    return sorted(found, key=lambda turn: (turn.start, turn.end))


def _turns_of_table(path: Path, text: str) -> list[Turn]:
    try:
        rows = [(number, [cell.strip() for cell in row]) for number, row in csv_rows(text)]
    except ValueError as error:
        raise UserError(f"--turns: {path}: {error}") from error
    header = [name.lower() for name in rows[0][1]] if rows else []
    named = [(number, dict(zip(header, row, strict=False))) for number, row in rows[1:]]
    return [_turn(path, number, row.get("start"), row.get("end"), row.get("speaker")) for number, row in named]


def _is_turn(line: str) -> bool:
    return line.startswith("SPEAKER")


def _rttm(path: Path, number: int, words: list[str]) -> Turn:
    if len(words) < 8:
        raise UserError(f"--turns: {path}:{number}: a SPEAKER line of RTTM has 8 fields or more, it has {len(words)}")
    try:
        end = str(float(words[3]) + float(words[4]))
    except ValueError:
        end = words[4]
    return _turn(path, number, words[3], end, words[7])


def _turn(path: Path, number: int, start: str | None, end: str | None, speaker: str | None) -> Turn:
    try:
        first, last = float(start or "nothing"), float(end or "nothing")
    except ValueError:
        raise UserError(f"--turns: {path}:{number}: start and end must be seconds") from None
    if not (math.isfinite(first) and math.isfinite(last) and 0 <= first < last):
        raise UserError(f"--turns: {path}:{number}: {first:g} to {last:g} s is no turn")
    return Turn(first, last, speaker or "unknown")
