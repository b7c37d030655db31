"""Tables on the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dual_hpc.printable import printable_lines, unwrapped

if TYPE_CHECKING:
    from rich.table import Table

_PIPED = 200  # columns, where the output is not a terminal


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal, its text as it is.

    Names, paths and commands may hold brackets, which rich would take for styles: `[a,b]` would vanish and `[/x]` fail.
    """
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.segment import Segment

    class Printable:
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for part in console.render(table, options):
                yield part if part.control else Segment(printable_lines(part.text), part.style)

    out = unwrapped(sys.stdout)
    width = None if Console(file=out).is_terminal else _PIPED
    Console(file=out, width=width, markup=False, emoji=False, highlight=False).print(Printable())
