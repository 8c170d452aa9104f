"""JSON from outside becomes values, unless it says two things at once."""

from __future__ import annotations

from typing import Any

from motifocal.json_text import parse_json


def parse(text: str | bytes) -> Any:
    """The value that JSON stands for; bytes are UTF-8, with or without a byte order mark.

    Raises ValueError for what `parse_json` refuses, and for a name that is twice in one object:
    readers differ in which of the two counts.
    """
    words = text if isinstance(text, str) else text.decode("utf-8-sig")
    return parse_json(words, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a field is there twice")
    return values
