"""No character of foreign text does anything to a terminal, a table, a picture or a line of JSON."""

from __future__ import annotations

import io
import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.printable import (
    PrintableStream,
    json_line,
    markdown_cell,
    picture_text,
    printable,
    printable_lines,
    printable_output,
)

ANYTHING = st.text(st.characters(), max_size=40)  # surrogates included
HARMFUL = {
    "colour": "\x1b[31mred",
    "title of the window": "\x1b]0;owned\x07",
    "8-bit control": "\x9b2J",
    "carriage return": "good\rbad",
    "backspace": "a\b\b",
    "bidirectional": "user\u202egpj.exe",
    "isolate": "\u2066x\u2069",
    "line separator": "a\u2028b",
    "tag": "\U000e0041",
    "half of a pair": "caf\udce9",
    "delete": "a\x7f",
    "NUL": "a\0b",
}


def harmful(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - set("\u200c\u200d")


@pytest.mark.parametrize("text", HARMFUL.values(), ids=HARMFUL)
def test_what_is_harmful_is_shown_and_not_sent(text: str) -> None:
    for shown in (printable(text), markdown_cell(text), picture_text(text), str(UserError(text))):
        assert not harmful(shown)
    assert harmful(printable_lines(text)) <= {"\n"}


@given(ANYTHING)
def test_any_text_becomes_one_line_that_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert not harmful(shown) and shown.encode() and printable(shown) == shown if shown else not text.split()
    assert not harmful(printable_lines(text)) - set("\n\t")
    assert not harmful(str(EnvironmentFault(text)))


@given(ANYTHING)
def test_a_line_of_json_stays_the_same_data(text: str) -> None:
    for encoding in ("utf-8", "ascii", "latin-1"):
        line = json_line({text: [text, 1.5]}, encoding)
        assert json.loads(line) == {text: [text, 1.5]}
        assert not harmful(line) and line.encode(encoding)


def test_letters_of_all_scripts_stay() -> None:
    for text in ("Müller", "日本語", "می‌خواهم", "क्‍ष", "🙂‍↔️", "a  b"):
        assert printable(text) == " ".join(text.split())


@given(ANYTHING)
def test_a_cell_is_one_cell(text: str) -> None:
    cell = markdown_cell(text)
    assert "|" not in cell.replace("\\|", "") and "\n" not in cell and "<" not in cell


def test_a_stream_writes_whatever_it_is_given() -> None:
    for encoding in ("utf-8", "ascii", "latin-1"):
        raw = io.BytesIO()
        stream = PrintableStream(io.TextIOWrapper(raw, encoding))
        for text in (*HARMFUL.values(), "日本語", "line\n"):
            print(text, file=stream)
        stream.flush()
        assert harmful(raw.getvalue().decode(encoding)) <= {"\n"}


def test_the_output_of_a_program_is_its_own_again_afterwards() -> None:
    before = sys.stdout, sys.stderr
    with printable_output():
        assert sys.stdout is not before[0] and sys.stdout.isatty() == before[0].isatty()
    assert (sys.stdout, sys.stderr) == before
