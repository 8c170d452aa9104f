"""Read JSON text and files from any source, or raise a ValueError."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parse_json(
    text: str | bytes, *, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """Return what ``json.loads`` returns.

    Raises JSONDecodeError, a ValueError, where ``json.loads`` raises RecursionError as well: for
    brackets that are nested too deeply. UnicodeDecodeError for bytes that are no text.
    """
    try:
        return json.loads(text, object_pairs_hook=object_pairs_hook)
    except RecursionError as error:
        raise json.JSONDecodeError("brackets are nested too deeply", "", 0) from error


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a UTF-8 file that holds one JSON object.

    Raises a ValueError of one line that names the file where it holds anything else, OSError where
    it cannot be read.
    """
    try:
        values = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} should be JSON, got {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} should hold an object, got {type(values).__name__}")
    return values


def parse_strict_json(text: str | bytes) -> Any:
    """Parse JSON text; bytes are UTF-8, with or without a byte order mark.

    Raises ValueError for what `parse_json` refuses, and for a name that is twice in one object:
    readers differ in which of the two counts.
    """
    words = text if isinstance(text, str) else text.decode("utf-8-sig")
    return parse_json(words, object_pairs_hook=_unique_names)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a field is there twice")
    return values
