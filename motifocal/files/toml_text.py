"""Read TOML on every supported version of Python, and write it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def parse_toml(text: str) -> dict[str, Any]:
    """Return the table that TOML text stands for.

    Raises ValueError, in one line, for text that is no TOML or is nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("brackets are nested too deeply") from error


def format_toml(values: Mapping[str, Any], table: str = "") -> str:
    """Return TOML text of strings, numbers, truth values, lists of these, and tables of those.

    `table` is the dotted name of the table that the values stand in; "" is the top.

    Keys should be bare (letters, digits, _ and -). A value None is left out: TOML has no word
    for it.
    """
    text, tables = "", ""
    for key, value in values.items():
        if isinstance(value, Mapping):
            name = f"{table}.{key}" if table else key
            tables += f"\n[{name}]\n{format_toml(value, name)}"
        elif value is not None:
            text += f"{key} = {_format_value(value)}\n"
    return text + tables


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # A TOML string is a JSON string, but for the one control character that JSON leaves bare.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_format_value, value))}]"
    raise TypeError(f"TOML should hold strings, numbers, truth values and lists, got {value!r}")
