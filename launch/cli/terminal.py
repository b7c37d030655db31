"""Tables on the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dual_hpc.printable import printable_lines, unwrapped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

_PIPED = 200  # columns, where the output is not a terminal


def fitting_table(rows: Sequence[Mapping[str, str]], width: int | None = None) -> Table:
    """A table of cells by heading, the first of which is a name that is never cut.

    The last columns are left out that the width has no room for, and those without any content.

    Args:
        rows: with the same headings, the most important first.
        width: columns of text; None: those of the terminal.
    """
    from rich.cells import cell_len
    from rich.table import Table

    room = terminal_width() if width is None else width
    headings = [heading for heading in rows[0] if any(row[heading] for row in rows)] if rows else []
    needed = {heading: max(cell_len(heading), *(cell_len(row[heading]) for row in rows)) for heading in headings}
    used, kept = 0, []
    for number, heading in enumerate(headings):
        used += needed[heading] + 2
        if number == 0 or used <= room + 2:
            kept.append(heading)
        else:
            break
    table = Table(*kept, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(row[heading] for heading in kept))
    return table


def terminal_width() -> int:
    """Columns of standard output; many where it is not a terminal."""
    from rich.console import Console

    console = Console(file=unwrapped(sys.stdout))
    return console.width if console.is_terminal else _PIPED


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal, its text as it is.

    Names, paths and commands may hold brackets, which rich would take for styles: `[a,b]` would vanish and `[/x]` fail.
    What a column has no room for goes on in the next line: a name with an ellipsis names nothing.
    """
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.segment import Segment

    class Printable:
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for part in console.render(table, options):
                yield part if part.control else Segment(printable_lines(part.text), part.style)

    for column in table.columns:
        column.overflow = "fold"
    Console(file=unwrapped(sys.stdout), width=terminal_width(), markup=False, emoji=False, highlight=False).print(
        Printable()
    )
