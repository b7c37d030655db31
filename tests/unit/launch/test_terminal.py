"""A table shows what it was given."""

from __future__ import annotations

import pytest
from rich.table import Table

from launch.cli.terminal import print_table


def test_brackets_and_colons_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("of [b]", box=None, title="m[/x]")
    words = ["train data.shards=[a,b]", "[red]", ":smile:", "[/]", "\\[x]"]
    for word in words:
        table.add_row(word)
    print_table(table)
    said = capsys.readouterr().out
    assert all(word in said for word in [*words, "of [b]", "m[/x]"])


def test_a_long_line_is_not_cut_where_nobody_says_how_wide_it_may_be(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("", box=None)
    table.add_row("x" * 150)
    print_table(table)
    assert "x" * 150 in capsys.readouterr().out
