"""A console for tables whose width is known in a pipe as well."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def table_console(width: int) -> Console:
    """Return a console of the terminal's width, or of `width` columns where there is no terminal.

    A pipe tells no width, and rich would cut tables to 80 columns there.
    """
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=width, highlight=False)


def print_table(
    title: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, width: int,
    caption: str = "", numbers: bool = True, sections: Container[int] = (),
) -> None:  # fmt: skip
    """Print a table of plain text. Columns of `numbers`, all but the first, are right-aligned, with
    intervals below what they are of; a line follows each row whose place is in `sections`."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), caption=escape(caption))
    for place, name in enumerate(head):
        right = numbers and place > 0
        table.add_column(escape(name), justify="right" if right else "left", overflow="fold")
    for number, row in enumerate(rows):
        cells = [row[0], *(cell.replace(" (", "\n(") if numbers else cell for cell in row[1:])]
        table.add_row(*map(escape, cells), end_section=number in sections)
    table_console(width).print(table)
