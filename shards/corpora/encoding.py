"""Bytes of an annotation file as text. What is not marked and not UTF-8 can only be guessed, and each guess is told.

Lines are judged one by one, since files are often glued together from several. Among lines that are not UTF-8 the bytes
decide: Western text has single letters above ASCII between plain ones, East Asian and Cyrillic text has long runs of
them, which read as frequent characters in their own encoding and as rare ones, or not at all, in the others.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

_MARKS = (  # the longer first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEAD = 1 << 16  # bytes that are looked at for zeros
_PLAUSIBLE = 0.6  # share of frequent characters below which no encoding is believed
_WESTERN = 0.8  # share of single letters above which text is Western
_HIGH = re.compile(rb"[\x80-\xff]+")
_WESTERN_LETTERS = frozenset({*range(0xC0, 0x100), 0x8A, 0x9A, 0x8C, 0x9C, 0x8E, 0x9E, 0x9F}) - {0xD7, 0xF7}
_WESTERN_SIGNS = frozenset(b"\x80\x85\x91\x92\x93\x94\x95\x96\x97\x99\xa0\xa1\xa3\xa9\xab\xae\xb0\xb4\xb7\xbb\xbf")
_EXCERPT = 40  # characters

Score = Callable[[list[str]], float]  # of the characters above ASCII


@dataclass(frozen=True)
class Remark:
    """Something that had to be decided about a file's bytes."""

    what: str  # as the end of a sentence whose subject is the file
    example: str = ""
    is_guess: bool = False


def decode(data: bytes, encoding: str | None = None) -> tuple[str, list[Remark]]:
    """The text of a file and what had to be guessed or corrected to read it.

    Args:
        encoding: what the user says it is; a byte order mark is believed more.

    Raises:
        UnicodeDecodeError: it is not in the `encoding` that was given.
        LookupError: there is no such encoding.
    """
    for mark, marked in _MARKS:
        if data.startswith(mark):
            return _marked(data, marked)
    if encoding is not None:
        text = data.decode(encoding)
        remarks = [Remark(f"is UTF-8 too, but was read as {encoding}, as --encoding says", _excerpt(text))]
        return text, remarks if not data.isascii() and _is_utf8(data) else []
    if (wide := _without_mark(data)) is not None:
        return _guessed(data.decode(wide, errors="replace"), wide)
    try:
        text, remarks = _corrected(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _mixed(data)
    return text, [*remarks, *_doubts(data, text)]


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


def _marked(data: bytes, encoding: str) -> tuple[str, list[Remark]]:
    try:
        return _corrected(data.decode(encoding))
    except UnicodeDecodeError:
        text = data.decode(encoding, errors="replace")
        name = encoding.removesuffix("-sig").upper()
        return text, [Remark(f"is marked as {name}, but parts of it are not", _excerpt(text, "\ufffd"))]


def _without_mark(data: bytes) -> str | None:
    """UTF-16 of text with some ASCII in it: half of its bytes are zero, always the same half."""
    head = data[:_HEAD]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) * 8 <= len(head) or min(even, odd) * 4 > max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _doubts(data: bytes, text: str) -> list[Remark]:
    """A file with nothing but single characters of two bytes above ASCII, as short labels are in Chinese."""
    runs = list(_HIGH.finditer(data))
    if not runs or any(len(run[0]) != 2 or _in_a_word(data, run) for run in runs) or guess(data) != "gb18030":
        return []
    return [Remark("was read as UTF-8, but may be gb18030", _excerpt(text), is_guess=True)]


def _mixed(data: bytes) -> tuple[str, list[Remark]]:
    """Lines that are UTF-8 as such, the others by one guess."""
    lines = data.split(b"\n")
    foreign = [line for line in lines if not _is_utf8(line)]
    name = guess(b"\n".join(foreign))
    utf8 = sum(not line.isascii() for line in lines) - len(foreign)
    # Two bytes of Chinese may happen to be UTF-8; a few such lines among many others are no second encoding.
    is_whole = utf8 * 10 <= len(foreign)
    texts = [
        line.decode("utf-8") if _is_utf8(line) and not is_whole else line.decode(name, errors="replace")
        for line in lines
    ]
    first = next(n for n, line in enumerate(lines) if not _is_utf8(line))
    example = f"line {first + 1} reads {_excerpt(texts[first])}"
    what = f"is not UTF-8 and was read as {name}, which is a guess"
    if utf8 and not is_whole:
        what = f"is UTF-8 in part; {len(foreign)} lines were read as {name}, which is a guess"
    text, remarks = _corrected("\n".join(texts))
    return text, [Remark(what, example, is_guess=True), *remarks]


def _guessed(text: str, name: str) -> tuple[str, list[Remark]]:
    what = f"has no byte order mark and was read as {name}, which is a guess"
    return text, [Remark(what, _excerpt(text), is_guess=True)]


def _corrected(text: str) -> tuple[str, list[Remark]]:
    """U+0080 to U+009F, which no text has, are cp1252 that was encoded twice. Other damage of the kind is only told."""
    remarks = []
    if any("\x80" <= c <= "\x9f" for c in text):
        count = sum(any("\x80" <= c <= "\x9f" for c in line) for line in text.split("\n"))
        text = "".join(_once(c) if "\x80" <= c <= "\x9f" else c for c in text)
        remarks.append(Remark(f"has {count} lines with cp1252 characters that were encoded twice; they were corrected"))
    lines = text.split("\n")
    lost = [line for line in lines if "\ufffd" in line]
    if lost:
        what = f"has {len(lost)} lines with characters that could not be read or were lost before (\ufffd)"
        remarks.append(Remark(what, _excerpt(lost[0], "\ufffd")))
    garbled = [line for line in lines if not line.isascii() and _was_utf8(line)]
    if garbled:
        what = f"has {len(garbled)} lines that look like UTF-8 once read as cp1252; they were left as they are"
        remarks.append(Remark(what, _excerpt(garbled[0])))
    return text, remarks


def _once(character: str) -> str:
    return bytes([ord(character)]).decode("cp1252", errors="replace")


def _was_utf8(line: str) -> bool:
    try:
        line.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return False
    return True


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_western(data: bytes) -> bool:
    """Mostly single letters, and two at most where they stand in a word of plain ones."""
    runs = list(_HIGH.finditer(data))
    return sum(_is_western_run(data, run) for run in runs) >= _WESTERN * len(runs)


def _is_western_run(data: bytes, run: re.Match[bytes]) -> bool:
    letters = [byte for byte in run[0] if byte not in _WESTERN_SIGNS]
    if len(letters) > 2 or not _WESTERN_LETTERS.issuperset(letters):
        return False
    return len(letters) < 2 or _in_a_word(data, run)


def _in_a_word(data: bytes, run: re.Match[bytes]) -> bool:
    around = data[max(0, run.start() - 1) : run.start()] + data[run.end() : run.end() + 1]
    return any(bytes([byte]).isalpha() for byte in around)


def _excerpt(text: str, around: str | None = None) -> str:
    """Some text around the first character that shows whether it was read rightly, in quotes."""
    line = next((line for line in text.split("\n") if (around in line if around else not line.isascii())), "")
    at = line.index(around) if around else next((n for n, c in enumerate(line) if ord(c) > 127), 0)
    part = line[max(0, at - _EXCERPT // 2) : at + _EXCERPT // 2]
    return repr(" ".join("".join(c if c.isprintable() else " " for c in part).split()))


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
