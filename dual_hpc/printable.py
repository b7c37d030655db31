"""Foreign text where people read it: on a terminal, in a report, in a picture.

Speakers, labels, file names, logs, Slurm's words and other people's error messages may hold whatever somebody wrote:
escape sequences that move the cursor or rename the window, marks that turn the order of letters around, halves of
surrogate pairs that no encoding takes. Such characters are shown as what they are (`\\x1b`, `\\u202e`), never sent.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

_JOINERS = "\u200c\u200d"  # between letters of Persian or Hindi, and in emoji: invisible, and harmless
_HARMFUL = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, formats, surrogates, line and paragraph separators
_MARKDOWN = {"|": "\\|", "<": "&lt;", "](": "]\\("}  # cells, HTML, links and pictures from elsewhere
_LONGEST = 80  # characters of a label in a picture


def printable(text: object, limit: int | None = None) -> str:
    """One line that can be printed: every run of white space is one blank, harmful characters are escaped.

    Args:
        limit: characters that are kept of it.
    """
    return _escaped(" ".join(str(text).split()))[:limit]


def printable_lines(text: str) -> str:
    """As `printable`, with line breaks and tabs as they are; a carriage return alone is a line break."""
    if text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(line if line in "\n\t" else _escaped(line) for line in re.split(r"([\n\t])", lines))


def json_line(content: Any, encoding: str | None = None) -> str:
    """Plain data as one line of JSON: readable, and where a character is harmful, or not in `encoding`, its escape.

    Args:
        encoding: of where it goes; None: of standard output.
    """
    line = "".join(map(_json_escape, json.dumps(content, ensure_ascii=False)))
    try:
        line.encode(encoding or sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return "".join(map(_json_escape, json.dumps(content)))
    return line


def markdown_cell(text: object) -> str:
    """As `printable`, for a cell of a Markdown table, or for words of a page: no cell ends in it, no tag begins."""
    line = printable(text)
    for sign, harmless in _MARKDOWN.items():
        line = line.replace(sign, harmless)
    return line


def picture_text(text: object) -> str:
    """As `printable`, for a picture: matplotlib would set what stands between two dollar signs as a formula."""
    return printable(text, _LONGEST).replace("$", r"\$")


class PrintableStream:
    """A text stream that everything can be written to: harmful characters and what it cannot encode are escaped.

    Whatever else is asked of it, the stream below answers.
    """

    def __init__(self, stream: TextIO) -> None:
        self.below = stream

    def write(self, text: str) -> int:
        self.below.write(self._encodable(printable_lines(text)))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)

    def _encodable(self, text: str) -> str:
        encoding = getattr(self.below, "encoding", None) or "utf-8"
        return text.encode(encoding, "backslashreplace").decode(encoding)


@contextlib.contextmanager
def printable_output() -> Iterator[None]:
    """Within it, standard output and standard error are `PrintableStream`s, also for logging and warnings."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, PrintableStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def unwrapped(stream: TextIO) -> TextIO:
    """The stream itself, for those that draw with escape sequences of their own, as bars of progress do."""
    return stream.below if isinstance(stream, PrintableStream) else stream


def _escaped(text: str) -> str:
    return text if text.isprintable() else "".join(_escape(c) if _is_harmful(c) else c for c in text)


def _is_harmful(character: str) -> bool:
    return unicodedata.category(character) in _HARMFUL and character not in _JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _json_escape(character: str) -> str:
    if not _is_harmful(character):  # in JSON such a character stands inside of a string only
        return character
    pairs = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pairs[at : at + 4]}" for at in range(0, len(pairs), 4))
