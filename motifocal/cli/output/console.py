"""A console for tables whose width is known in a pipe as well."""

from __future__ import annotations

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
