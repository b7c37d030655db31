"""Lines of a screen that is as wide as it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, chop_cells, set_cell_size

from dual_hpc.printable import printable

INDENT = "      "  # of what goes on in the next line


def fit(line: str, width: int) -> str:
    """Cut to the width, with an ellipsis; wide letters count as two columns."""
    line = printable_keeping_blanks(line)
    return line if cell_len(line) <= width else set_cell_size(line, max(0, width - 1)).rstrip() + "…"


def fit_end(name: str, width: int) -> str:
    """Cut at the front, as names of one sweep begin alike."""
    name = printable(name)
    while cell_len(name) > width:
        name = "…" + name[2 if name.startswith("…") else 1 :]
    return name


def flow(items: Iterable[str], width: int, between: str = "   ") -> list[str]:
    """The items one after the other, none of them cut where it fits a line of its own."""
    lines: list[str] = []
    for item in items:
        if lines and cell_len(lines[-1] + between + item) <= width:
            lines[-1] += between + item
        else:
            lines.append(INDENT + item if lines else item)
    return lines


def wrapped(sentence: str, width: int) -> list[str]:
    """A sentence over several lines, between its words."""
    words = printable(sentence).split(" ")
    return flow((part for word in words for part in chop_cells(word, max(2, width - len(INDENT))) or [""]), width, " ")


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], width: int, flexible: int = 8) -> list[str]:
    """Columns as wide as they must be, the last of them dropped where the width does not suffice for all.

    Args:
        heading: the first is of names, left-aligned and shortened at the front, to `flexible` columns at most; the
            others are right-aligned, in the order of their worth.
    """
    widths = [max(cell_len(row[number]) for row in (heading, *rows)) for number in range(len(heading))]
    shown = len(widths)
    while shown > 1 and min(widths[0], flexible) + sum(2 + one for one in widths[1:shown]) > width:
        shown -= 1
    names = max(min(widths[0], flexible), min(widths[0], width - sum(2 + one for one in widths[1:shown])))
    return [
        "  ".join([set_cell_size(fit_end(row[0], names), names), *(f"{row[n]:>{widths[n]}}" for n in range(1, shown))])
        for row in (heading, *rows)
    ]


def printable_keeping_blanks(line: str) -> str:
    """A line of a log or a table, whose columns stay where they are."""
    return " ".join(printable(word) for word in line.expandtabs(4).split(" "))
