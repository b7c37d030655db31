"""CSV text of others: whatever its line ends, its rows are the same; what is no CSV is named by its line."""

from __future__ import annotations

import pytest

from dual_hpc.files.csv_text import csv_rows

ROWS = [["speaker", "fold"], ["a, b", "1"], ["c", "2"]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\r\r"])
def test_rows_are_the_same_whatever_ends_a_line(end: str) -> None:
    text = end.join(["speaker,fold", '"a, b",1', "c,2", ""])
    assert [row for _, row in csv_rows(text)] == ROWS


def test_the_number_of_a_row_is_that_of_its_line() -> None:
    assert [line for line, _ in csv_rows('a,b\n\n , \n"c\nd",1\ne,2\n')] == [1, 4, 6]


def test_nul_is_dropped() -> None:
    assert list(csv_rows("a\0,b\n")) == [(1, ["a", "b"])]


def test_a_field_that_never_ends_is_named_by_its_line() -> None:
    with pytest.raises(ValueError, match="line 2 cannot be read as CSV"):
        list(csv_rows("a,b\n" + "x" * 200_000 + ",1\n"))
