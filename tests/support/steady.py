"""How hypothesis draws examples here: a busy machine misses deadlines, so there are none, and the
same examples every time make a failure repeatable."""

from __future__ import annotations

from hypothesis import settings

steady = settings(deadline=None, derandomize=True, database=None)
