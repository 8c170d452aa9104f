"""JSON text from anywhere becomes Python values, or a ValueError."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def parse_json(
    text: str | bytes, *, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """What ``json.loads`` returns.

    Raises JSONDecodeError, a ValueError, where ``json.loads`` raises RecursionError as well: for
    brackets that are nested too deeply. UnicodeDecodeError for bytes that are no text.
    """
    try:
        return json.loads(text, object_pairs_hook=object_pairs_hook)
    except RecursionError as error:
        raise json.JSONDecodeError("brackets are nested too deeply", "", 0) from error
