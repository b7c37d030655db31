"""The rows of a release's annotation table, each with its place for messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dual_hpc.errors import UserError
from shards.corpora.text import TextFiles, parse_csv
from shards.plan import Plan


def table_rows(
    plan: Plan, table: Path, texts: TextFiles, needed: Sequence[str], kind: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """(place, row) of each row that has as many cells as the header; the plan skips the others and says so.

    Args:
        needed: columns that must be there.
        kind: what the file should be, for messages: "a table of CH-SIMS".

    Raises:
        UserError: at once, the file cannot be read or a column is missing; later, a row is not CSV.
    """
    header, lines = parse_csv(table, texts.read(table))
    if absent := [name for name in needed if name not in header]:
        raise UserError(f"{table}: is not {kind}: the column {absent[0]} is missing (line 1)")

    def rows() -> Iterator[tuple[str, dict[str, str]]]:
        for line, cells in lines:
            where = f"{plan.shown(table)}:{line}"
            if len(cells) == len(header):
                yield where, dict(zip(header, cells, strict=True))
            else:
                plan.skip(where, f"has {len(cells)} columns, the header has {len(header)}", utterance=where)

    return rows()
