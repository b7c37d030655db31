"""Tables on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_PIPED = 200  # columns, where the output is not a terminal


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal, its text as it is.

    Names, paths and commands may hold brackets, which rich would take for styles: `[a,b]` would vanish and `[/x]` fail.
    """
    from rich.console import Console

    width = None if Console().is_terminal else _PIPED
    Console(width=width, markup=False, emoji=False, highlight=False).print(table)
