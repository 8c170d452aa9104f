"""A folder or a table of captioned videos becomes pairs of path and caption, the bad ones listed.

Read: `metadata.jsonl` or `metadata.csv` in the folder (Hugging Face's videofolder), any one JSONL
or CSV table, or `x.mp4` beside `x.txt`. Written: `metadata.jsonl`.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motifocal.picture import natural_key, replacing
from motifocal.video import VIDEO_SUFFIXES

METADATA = "metadata.jsonl"
TABLES = (METADATA, "metadata.csv")
# Column names in use, the first found counts: videofolder's own first.
VIDEO_COLUMNS = ("file_name", "video", "video_path", "path", "file", "filename", "media_path")
CAPTION_COLUMNS = ("text", "caption", "prompt", "description")


@dataclass(frozen=True)
class CaptionedVideo:
    """A video file and what it shows; `name` is its path below the folder, with slashes."""

    path: Path
    caption: str
    name: str


@dataclass(frozen=True)
class Rejected:
    """A clip that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class CaptionedFolder:
    """The captioned videos of a folder in their stored order, and what had to be left out."""

    videos: tuple[CaptionedVideo, ...]
    rejected: tuple[Rejected, ...]


def read_captions(location: str | Path) -> CaptionedFolder:
    """The captioned videos of a folder, or of a `.jsonl` or `.csv` table beside its videos.

    A row without a caption, whose video is missing, lies outside the folder or was named before,
    is listed in `rejected`. Symbolic links inside the folder are followed.

    Raises:
        ValueError: nothing in a known format is there, two tables are, a table is damaged or lacks
            a column, or not a single clip is left.
    """
    location = Path(location)
    if not location.exists():
        raise ValueError(f"{location}: no such file or folder")
    table = _table(location) if location.is_dir() else location
    folder = table.parent if table else location
    rows = _beside(folder) if table is None else _rows(table)
    videos: list[CaptionedVideo] = []
    rejected: list[Rejected] = []
    seen: set[str] = set()
    for name, caption in rows:
        place = _inside(name)
        reason = _fault(folder, place, caption, seen)
        if reason is None and place is not None:
            seen.add(place)
            videos.append(CaptionedVideo(folder / place, str(caption).strip(), place))
        else:
            rejected.append(Rejected(str(name), str(reason)))
    if not videos:
        first = f"; {rejected[0].name}: {rejected[0].reason}" if rejected else ""
        raise ValueError(f"{location} should hold captioned videos, got none{first}")
    return CaptionedFolder(tuple(videos), tuple(rejected))


def write_captions(folder: str | Path, captions: Iterable[tuple[str, str]]) -> Path:
    """Write `metadata.jsonl` for (name below the folder, caption) pairs; the file appears whole.

    Raises ValueError for a name outside the folder, an empty caption, or a name given twice.
    """
    path = Path(folder) / METADATA
    lines, seen = [], set()
    for name, caption in captions:
        place = _inside(name)
        if place is None or place in seen or not caption.strip():
            raise ValueError(
                f"name and caption should be a new place in the folder and a sentence, "
                f"got {name!r} and {caption!r}"
            )
        seen.add(place)
        lines.append(json.dumps({"file_name": place, "text": caption}, ensure_ascii=False) + "\n")
    with replacing(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    return path


def _table(folder: Path) -> Path | None:
    """The folder's table of captions; None where there is none and text files stand beside."""
    found = [folder / name for name in TABLES if (folder / name).is_file()]
    found = found or sorted(folder.glob("*.jsonl"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ValueError(f"{folder} should hold one table of captions, got {names}; name one")
    return found[0] if found else None


def _beside(folder: Path) -> Iterator[tuple[Any, Any]]:
    """Every video below the folder, with the text of the file of its name that ends in .txt."""
    videos = [p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()]
    for path in sorted(videos, key=natural_key):
        text = path.with_suffix(".txt")
        caption = _text(text) if text.is_file() else None
        yield path.relative_to(folder).as_posix(), caption


def _rows(table: Path) -> Iterator[tuple[Any, Any]]:
    """(video, caption) of each row, as they stand there."""
    readers = {".jsonl": _jsonl_rows, ".csv": _csv_rows}
    if table.suffix.lower() not in readers:
        raise ValueError(f"{table} should be a folder, a .jsonl or a .csv file")
    for place, row in readers[table.suffix.lower()](table):
        video, caption = (
            next((row[column] for column in columns if column in row), _MISSING)
            for columns in (VIDEO_COLUMNS, CAPTION_COLUMNS)
        )
        if video is _MISSING or caption is _MISSING:
            wanted = VIDEO_COLUMNS if video is _MISSING else CAPTION_COLUMNS
            raise ValueError(f"{place} should have one of {wanted}, got {sorted(map(str, row))}")
        yield video, caption


_MISSING = object()


def _jsonl_rows(table: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_text(table).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{table}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{place} should be JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"{place} should be a JSON object, got {line[:60]!r}")
        yield place, row


def _csv_rows(table: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(_text(table), newline=""))
    for row in reader:
        if None in row:
            extra = row.pop(None)
            raise ValueError(f"{table}, line {reader.line_num}: too many columns, {extra} is left")
        yield f"{table}, line {reader.line_num}", dict(row)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} should be UTF-8: {error}") from error


def _inside(name: Any) -> str | None:
    """The place below the folder that a name stands for, or None if it is none.

    Only the name is looked at: what links inside the folder point to is their owner's business.
    """
    if not isinstance(name, str) or not name.strip() or "\0" in name or os.path.isabs(name):
        return None
    place = os.path.normpath(name)
    return None if place.split(os.sep)[0] in (os.pardir, os.curdir) else Path(place).as_posix()


def _fault(folder: Path, place: str | None, caption: Any, seen: set[str]) -> str | None:
    """Why a row cannot be used, if so."""
    if place is None:
        return "should be a relative path inside the folder"
    if caption is None or (isinstance(caption, str) and not caption.strip()):
        return "has no caption"
    if not isinstance(caption, str):
        return f"caption should be text, got {type(caption).__name__}"
    if place in seen:
        return "is named twice; the first counts"
    if not (folder / place).is_file():
        return "no such file"
    return None
