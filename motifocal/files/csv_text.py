"""Write rows as CSV text with plain line endings."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence


def csv_text(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return CSV with a line of headings, fields quoted where they need it; nan is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in row]
                     for row in rows)
    return text.getvalue()
