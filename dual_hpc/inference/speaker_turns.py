"""Who speaks when, as others have found it: an RTTM or a CSV file, of one recording or of several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.errors import UserError, one_line
from dual_hpc.files.csv_text import csv_rows
from dual_hpc.files.regular_file import read_text

_MOST = 1_000_000  # turns
_COLUMNS = ("start", "end", "speaker", "recording")
_NAMED = 3  # recordings in a message


@dataclass(frozen=True)
class Turn:
    """What one speaker says, in seconds.

    Attributes:
        recording: the name that the file has for it, without ending in RTTM; empty of a CSV file without `recording`.
    """

    start: float
    end: float
    speaker: str
    recording: str = ""


def turns_of(turns: Sequence[Turn], recording: Path) -> Sequence[Turn]:
    """Those of a recording. A file that knows one name, or none, is of whatever recording it is given with.

    Raises:
        UserError: there are several recordings in the file, and not this one.
    """
    names = {turn.recording: None for turn in turns}
    if len(names) < 2:
        return turns
    if found := [turn for turn in turns if turn.recording in (recording.stem, recording.name)]:
        return found
    named = ", ".join([*list(names)[:_NAMED], *(["..."] if len(names) > _NAMED else [])])
    raise UserError(one_line(f"--turns: names {len(names)} recordings ({named}), and not {recording.stem}", 300))


def read_turns(path: Path) -> list[Turn]:
    """Speaker turns in the order of their beginnings: an RTTM file, or a CSV file with start, end and speaker, and
    recording where there are several.

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
    return [_turn(path, number, *(row.get(name) for name in _COLUMNS)) for number, row in named]


def _is_turn(line: str) -> bool:
    return line.startswith("SPEAKER")


def _rttm(path: Path, number: int, words: list[str]) -> Turn:
    if len(words) < 8:
        raise UserError(f"--turns: {path}:{number}: a SPEAKER line of RTTM has 8 fields or more, it has {len(words)}")
    try:
        end = str(float(words[3]) + float(words[4]))
    except ValueError:
        end = words[4]
    return _turn(path, number, words[3], end, words[7], words[1])


def _turn(
    path: Path, number: int, start: str | None, end: str | None, speaker: str | None, recording: str | None
) -> Turn:
    try:
        first, last = float(start or "nothing"), float(end or "nothing")
    except ValueError:
        raise UserError(f"--turns: {path}:{number}: start and end must be seconds") from None
    if not (math.isfinite(first) and math.isfinite(last) and 0 <= first < last):
        raise UserError(f"--turns: {path}:{number}: {first:g} to {last:g} s is no turn")
    return Turn(first, last, speaker or "unknown", recording or "")
