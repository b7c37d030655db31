"""Markdown tables of scores."""

from __future__ import annotations

from collections.abc import Sequence

from dual_hpc.modality import parse_subset
from dual_hpc.printable import markdown_cell


def subset_name(subset: str) -> str:
    """ "avt" -> "{A,V,T}"."""
    return "{" + ",".join(modality.letter.upper() for modality in parse_subset(subset)) + "}"


def percent(value: float) -> str:
    """A share of one as percent with one decimal, without the sign."""
    return f"{100 * value:.1f}"


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose first column is words and whose others are numbers."""
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return ["| " + " | ".join(markdown_cell(cell) for cell in row) + " |" for row in [heading, rule, *rows]]
