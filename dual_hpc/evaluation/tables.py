"""Markdown tables of scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dual_hpc.modality import ALL_MODALITIES, parse_subset
from dual_hpc.printable import markdown_cell


def subset_name(subset: str) -> str:
    """ "avt" -> "{A,V,T}"."""
    return "{" + ",".join(modality.letter.upper() for modality in parse_subset(subset)) + "}"


def seen_letters(about: Mapping[str, Any]) -> str:
    """The modalities that an utterance of a report has and the model reads, by the report's `about`."""
    present, reads = (str(about.get(name, ALL_MODALITIES)) for name in ("present", "reads"))
    return "".join(letter for letter in present if letter in reads)


def seen_name(subset: str, seen: str) -> str:
    """The name of a subset by what was there: "{A}" for "av" where no utterance has video."""
    return subset_name("".join(letter for letter in subset if letter in seen) or subset)


def told_apart(subsets: Iterable[str], seen: str) -> dict[str, str]:
    """Subset -> its name; none that shows the model what one before it has shown, or nothing, unless all are such."""
    every = list(subsets)
    found: dict[str, str] = {}
    for subset in every:
        if set(subset) & set(seen) and seen_name(subset, seen) not in found.values():
            found[subset] = seen_name(subset, seen)
    return found or {subset: subset_name(subset) for subset in every}


def percent(value: float) -> str:
    """A share of one as percent with one decimal, without the sign."""
    return f"{100 * value:.1f}"


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose first column is words and whose others are numbers."""
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return ["| " + " | ".join(markdown_cell(cell) for cell in row) + " |" for row in [heading, rule, *rows]]
