"""Read the column names of a table of captions, and find the relevant ones."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable

# Names in use, the first that is there counts: videofolder's own first.
VIDEO_COLUMNS = ("file_name", "video", "video_path", "path", "file", "filename", "media_path",
                 "video_file")  # fmt: skip
CAPTION_COLUMNS = ("text", "caption", "prompt", "description")
# Spreadsheets write semicolons where the comma is the decimal point.
_DELIMITERS = (",", ";", "\t")


def names_captions(columns: set[str]) -> bool:
    """Tell whether there is a column of videos and one of captions."""
    return bool(columns & set(VIDEO_COLUMNS)) and bool(columns & set(CAPTION_COLUMNS))


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
