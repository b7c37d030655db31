"""Which encoding bytes that are not UTF-8 are likely to have.

Western text has single letters above ASCII between plain ones. East Asian and Cyrillic text has long runs of such
bytes, which read as frequent characters in their own encoding and as rare ones, or not at all, in the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_PLAUSIBLE = 0.6  # share of frequent characters below which no encoding is believed
_WESTERN = 0.8  # share of single letters above which text is Western
_HIGH = re.compile(rb"[\x80-\xff]+")
_WESTERN_LETTERS = frozenset({*range(0xC0, 0x100), 0x8A, 0x9A, 0x8C, 0x9C, 0x8E, 0x9E, 0x9F}) - {0xD7, 0xF7}
_WESTERN_SIGNS = frozenset(b"\x80\x85\x91\x92\x93\x94\x95\x96\x97\x99\xa0\xa1\xa3\xa9\xab\xae\xb0\xb4\xb7\xbb\xbf")

Score = Callable[[list[str]], float]  # of the characters above ASCII


def guess(data: bytes) -> str:
    """The likeliest encoding of bytes that are not UTF-8."""
    if _is_western(data):
        return "cp1252"
    best, most = "cp1252", _PLAUSIBLE
    for name, score in _SCORES.items():
        try:
            reached = score([c for c in data.decode(name) if ord(c) > 127])
        except UnicodeDecodeError:
            continue
        if reached > most:
            best, most = name, reached
    return best


def high_runs(data: bytes) -> list[re.Match[bytes]]:
    """The stretches of bytes above ASCII."""
    return list(_HIGH.finditer(data))


def _is_western(data: bytes) -> bool:
    """Mostly single letters, and two at most where they stand in a word of plain ones."""
    runs = high_runs(data)
    return sum(_is_western_run(data, run) for run in runs) >= _WESTERN * len(runs)


def _is_western_run(data: bytes, run: re.Match[bytes]) -> bool:
    letters = [byte for byte in run[0] if byte not in _WESTERN_SIGNS]
    if len(letters) > 2 or not _WESTERN_LETTERS.issuperset(letters):
        return False
    return len(letters) < 2 or is_in_a_word(data, run)


def is_in_a_word(data: bytes, run: re.Match[bytes]) -> bool:
    """True where a run stands beside a plain letter."""
    around = data[max(0, run.start() - 1) : run.start()] + data[run.end() : run.end() + 1]
    return any(bytes([byte]).isalpha() for byte in around)


def _in_rows(codec: str, rows: tuple[tuple[int, int], ...], lowest: int, fewest: int = 1) -> Score:
    """A score by the rows of a table of two bytes.

    Args:
        rows: first bytes (from, to) of its frequent characters.
        lowest: second byte of them.
        fewest: characters that are needed to believe it.
    """

    def is_frequent(character: str) -> bool:
        data = character.encode(codec, errors="ignore")
        return len(data) == 2 and data[1] >= lowest and any(low <= data[0] <= high for low, high in rows)

    return lambda characters: _share(characters, is_frequent) if len(characters) >= fewest else 0.0


def _japanese(characters: list[str]) -> float:
    """Kana are a good part of any Japanese text; half-width ones, which chance makes of other text, nobody writes."""
    kana = _share(characters, lambda c: "\u3041" <= c <= "\u30fe")
    return 0.0 if kana < 0.15 else _share(characters, lambda c: "\u3000" <= c <= "\u9fff" or "\uff01" <= c <= "\uff5e")


def _cyrillic(characters: list[str]) -> float:
    return _share(characters, lambda c: "\u0410" <= c <= "\u044f" or c in "\u0401\u0451")


def _share(characters: list[str], is_frequent: Callable[[str], bool]) -> float:
    return sum(map(is_frequent, characters)) / max(1, len(characters))


# How well text that was read by an encoding looks like its language, 0 to 1; of equal scores the first counts.
_SCORES: dict[str, Score] = {
    "cp932": _japanese,
    "euc_jp": _japanese,
    # Hangul has a part of the rows of Chinese: it is likelier only where much text never leaves it.
    "cp949": _in_rows("cp949", ((0xA1, 0xA3), (0xB0, 0xC8)), 0xA1, fewest=12),
    "gb18030": _in_rows("gb18030", ((0xA1, 0xA3), (0xB0, 0xD7)), 0xA1),
    "big5": _in_rows("big5", ((0xA1, 0xC6),), 0x40),
    "cp1251": _cyrillic,
}
