"""Read JSON text and files from untrusted sources, or raise a ValueError."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
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


def parse_json_at(place: object, text: str | bytes) -> Any:
    """Return what `parse_json` does; a ValueError is one line that names the place of the text."""
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"{place} should be JSON, got {' '.join(str(error).split())}") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a UTF-8 file that holds one JSON object.

    Raises a ValueError of one line that names the file where it holds anything else, OSError where
    it cannot be read.
    """
    values = parse_json_at(path, path.read_bytes())
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


def format_json(content: Any) -> str:
    """Return a readable JSON document; arrays become lists, what is no finite number null."""
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def with_earlier_names(content: Any, earlier: Mapping[str, str]) -> Any:
    """Return JSON content in which every field also stands under its earlier name, `now -> before`.

    What is replaced in a file stays for one more release.
    """
    if isinstance(content, Mapping):
        fields: dict[str, Any] = {}
        for name, item in content.items():
            fields[name] = with_earlier_names(item, earlier)
            if name in earlier:
                fields[earlier[name]] = fields[name]
        return fields
    if isinstance(content, list | tuple):
        return [with_earlier_names(item, earlier) for item in content]
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a field is there twice")
    return values
