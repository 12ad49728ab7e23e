"""Tables for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_WIDTH_OF_A_PIPE = 160


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print `rows` under `columns`; None is an empty cell. The first column, by which a row is named, is never cut."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for place, column in enumerate(columns):
        table.add_column(column, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE
    Console(highlight=False, markup=False, width=width).print(table)
