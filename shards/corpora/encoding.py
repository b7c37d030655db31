"""Bytes of an annotation file as text. What is not marked and not UTF-8 can only be guessed, and each guess is told.

Lines are judged one by one, since files are often glued together from several.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from shards.corpora.encoding_guess import guess, high_runs, is_in_a_word

_MARKS = (  # the longer first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEAD = 1 << 16  # bytes that are looked at for zeros
_EXCERPT = 40  # characters


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
        text, remarks = _corrected(decoded := data.decode(encoding))
        if _is_utf8(data) and data.decode("utf-8") != decoded:
            remarks += [Remark(f"is UTF-8 too, but was read as {encoding}, as --encoding says", _excerpt(text))]
        return text, remarks
    if (wide := _without_mark(data)) is not None:
        return _guessed(data.decode(wide, errors="replace"), wide)
    try:
        text, remarks = _corrected(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _mixed(data)
    return text, [*remarks, *_doubts(data, text)]


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
    runs = high_runs(data)
    if not runs or any(len(run[0]) != 2 or is_in_a_word(data, run) for run in runs) or guess(data) != "gb18030":
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


def _excerpt(text: str, around: str | None = None) -> str:
    """Some text around the first character that shows whether it was read rightly, in quotes."""
    line = next((line for line in text.split("\n") if (around in line if around else not line.isascii())), "")
    at = line.index(around) if around else next((n for n, c in enumerate(line) if ord(c) > 127), 0)
    part = line[max(0, at - _EXCERPT // 2) : at + _EXCERPT // 2]
    return repr(" ".join("".join(c if c.isprintable() else " " for c in part).split()))
