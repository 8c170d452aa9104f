"""Write rows as CSV text with plain line endings, and keep spreadsheets from running it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterable, Sequence

#: A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_text(
    head: Sequence[str], rows: Iterable[Iterable[object]], *, free: Collection[str] = ()
) -> str:
    """Return CSV with a line of headings, fields quoted where they need it; nan is empty.

    In the columns `free`, whose texts somebody else may have written, each text is `guarded`.
    """
    guards = [guarded if name in free else _as_it_is for name in head]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(
        ["" if isinstance(cell, float) and math.isnan(cell) else guard(cell)
         for guard, cell in zip(guards, row, strict=True)]
        for row in rows)
    return text.getvalue()


def guarded(cell: object) -> object:
    """Return a cell with ' before a text that a spreadsheet would run; `unguarded` undoes it."""
    return f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell


def unguarded(text: str) -> str:
    """Return the text that `guarded` was given."""
    return text[1:] if text.startswith("'") and _is_formula(text) else text


def _is_formula(text: str) -> bool:
    return text.lstrip("'").startswith(FORMULA_STARTS)


def _as_it_is(cell: object) -> object:
    return cell
