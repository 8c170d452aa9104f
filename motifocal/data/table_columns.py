"""Read the column names of a table of captions, and find the relevant ones."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

# Names in use, the first that is there counts: videofolder's own first.
VIDEO_COLUMNS = ("file_name", "video", "video_path", "path", "file", "filename", "media_path",
                 "video_file")  # fmt: skip
CAPTION_COLUMNS = ("text", "caption", "prompt", "description")
# Spreadsheets write semicolons where the comma is the decimal point.
_DELIMITERS = (",", ";", "\t")
_LOOK = 65_536  # bytes of a table that tell whether it is one of captions


def names_captions(columns: set[str]) -> bool:
    """Tell whether there is a column of videos and one of captions."""
    return bool(columns & set(VIDEO_COLUMNS)) and bool(columns & set(CAPTION_COLUMNS))


def holds_captions(table: Path) -> bool:
    """Tell whether the head of a .csv, .json or .jsonl names a video and a caption."""
    if not table.is_file():
        return False
    with table.open("rb") as file:
        head = file.read(_LOOK).decode("utf-8-sig", "replace")
    if table.suffix.lower() == ".csv":
        return names_captions(columns_of(head))
    if table.suffix.lower() == ".jsonl":  # its first lines may be damaged
        return any(names_captions(_keys_at(line.lstrip(), 0)) for line in head.split("\n"))
    start = head.find("{")
    return head[: max(start, 0)].strip() == "[" and names_captions(_keys_at(head, start))


def _keys_at(text: str, start: int) -> set[str]:
    """Return the keys of the JSON object that starts there; none where it is no whole one."""
    try:
        value = json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return set()
    return set(value) if isinstance(value, dict) else set()


def columns_of(text: str) -> set[str]:
    """Return the columns that the first line of a CSV file names."""
    return _columns(text, delimiter_of(text))


def delimiter_of(text: str, known: Callable[[set[str]], bool] = names_captions) -> str:
    """Return what separates the columns of a CSV file: what makes `known` names of its first line.

    A comma where nothing does.
    """
    fitting = (mark for mark in _DELIMITERS if known(_columns(text, mark)))
    return next(fitting, ",")


def _columns(text: str, delimiter: str) -> set[str]:
    heading = re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0].strip()
    try:
        return set(next(csv.reader([heading], delimiter=delimiter), []))
    except csv.Error:  # a column longer than CSV readers take
        return set()
