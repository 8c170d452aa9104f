"""Read captions in the formats of trainers as rows of video and caption, damaged rows included.

Read, as the trainers' own code reads them: Hugging Face's videofolder (`metadata.jsonl` or `.csv`:
file_name, text; older DiffSynth-Studio too), musubi-tuner (JSONL: video_path, caption; and its
TOML), DiffSynth-Studio (CSV, JSON, JSONL: video, prompt), the LTX trainers (JSON, JSONL, CSV:
media_path, caption), finetrainers (prompt.txt and videos.txt, line by line), `x.mp4` beside
`x.txt`, and a folder that holds nothing but videos.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motifocal.data.musubi_config import clips_in, video_source
from motifocal.data.table_columns import (
    CAPTION_COLUMNS,
    VIDEO_COLUMNS,
    delimiter_of,
    holds_captions,
)
from motifocal.files.json_text import parse_json
from motifocal.files.names import stored_name
from motifocal.files.remote import to_path
from motifocal.media.video_files import find_videos

METADATA = "metadata.jsonl"
TABLES = (METADATA, "metadata.csv")
# finetrainers takes exactly one of each.
CAPTION_LISTS = ("prompt.txt", "prompts.txt", "caption.txt", "captions.txt")
VIDEO_LISTS = ("videos.txt", "video.txt")
PLAIN, BESIDE, LISTS = "a plain folder of videos", "text files beside", "finetrainers' two lists"


@dataclass(frozen=True, slots=True)
class Row:
    """One clip as it is written down: `name` and `caption` as they stand, of any type.

    `column` is where the name stood, `place` says where the row is. `damage` is one line that says
    why the row cannot be read; name and caption are then None.
    """

    place: str
    name: Any = None
    caption: Any = None
    column: str = ""
    damage: str | None = None


@dataclass(frozen=True)
class Listing:
    """What is written down about a folder, in which format, by which table (None: by none).

    `closed` are (name, reason) of folders below that cannot be looked into, where no table names
    the clips.
    """

    format: str
    folder: Path
    table: Path | None
    rows: tuple[Row, ...]
    closed: tuple[tuple[str, str], ...] = ()


def listed(location: str | Path) -> Listing:
    """Read the rows of a folder or of one table; damage to rows is in the rows.

    Raises ValueError where nothing is there, two tables are, or the file is of no known format.
    """
    location = to_path(location)
    if not location.exists():
        raise ValueError(f"{location}: no such file or folder")
    if location.suffix.lower() == ".toml" and location.is_file():
        return _of_musubi(location)
    table = _table(location) if location.is_dir() else location
    if table is None:
        return _beside(location)
    if table.name in VIDEO_LISTS:
        return _two_lists(table)
    if table.suffix.lower() not in _READERS:
        kinds = ", ".join(_READERS)
        raise ValueError(f"{table} should be a folder or a table of captions ({kinds}, .toml)")
    rows = tuple(_READERS[table.suffix.lower()](table))
    return Listing(_format(table, rows), table.parent, table, rows)


def _table(folder: Path) -> Path | None:
    """Find the folder's table of captions; None where there is none."""
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    tables = tables or _tables_among(folder.glob("*.jsonl"))
    if not tables and any((folder / name).is_file() for name in CAPTION_LISTS):
        tables = [folder / name for name in VIDEO_LISTS if (folder / name).is_file()]
    if not tables:
        tables = _tables_among([*folder.glob("*.csv"), *folder.glob("*.json")])
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise ValueError(f"{folder} should hold one table of captions, got {names}; name one")
    return tables[0] if tables else None


def _tables_among(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if path.name[0] != "." and holds_captions(path))


def _format(table: Path, rows: tuple[Row, ...]) -> str:
    """Name the format of a table, told by its name and its columns."""
    known = {
        "file_name": "Hugging Face videofolder",
        "video_path": "musubi-tuner",
        "video": "DiffSynth-Studio",
        "media_path": "LTX trainer",
    }
    column = next((row.column for row in rows if row.column), "")
    return f"{known.get(column, 'table')} ({table.name})"


def _beside(folder: Path) -> Listing:
    """List every video below the folder, with the text of its .txt file."""
    paths, closed = find_videos(folder)
    rows, texts = _with_texts(folder, paths, ".txt")
    return Listing(BESIDE if texts else PLAIN, folder, None, rows, tuple(closed))


def _of_musubi(config: Path) -> Listing:
    """List what a configuration of musubi-tuner names: a table, or clips of a folder."""
    location, extension = video_source(config)
    if not location.is_dir():
        return listed(location)
    rows, _ = _with_texts(location, clips_in(location), extension)
    return Listing(f"musubi-tuner ({config.name})", location, config, rows)


def _with_texts(
    folder: Path, paths: Iterable[Path], extension: str
) -> tuple[tuple[Row, ...], int]:
    """Make a row of each video and of the text in the file beside it; count those files."""
    rows, texts = [], 0
    for path in paths:
        name = path.relative_to(folder).as_posix()
        text = folder / stored_name(folder, os.path.splitext(name)[0] + extension)
        if not text.is_file():
            rows.append(Row(name, name))
            continue
        texts += 1
        words, damage = "", None
        try:
            words = _text(text)
        except OSError as error:
            damage = f"{text} cannot be read ({error.strerror})"
        if _undecoded(words):
            damage = f"{text} should be UTF-8"
        rows.append(Row(name, name, None if damage else words, damage=damage))
    return tuple(rows), texts


def _two_lists(table: Path) -> Listing:
    """Read finetrainers' two files: line k of the one is the video, of the other its caption."""
    captions = [table.parent / n for n in CAPTION_LISTS if (table.parent / n).is_file()]
    if len(captions) != 1:
        got = ", ".join(path.name for path in captions) or "none"
        raise ValueError(f"{table} should have one of {CAPTION_LISTS} beside it, got {got}")
    names, words = list(_lines(table)), list(_lines(captions[0]))
    rows = []
    for number in range(max(len(names), len(words))):
        place = f"{table}, line {number + 1}"
        if number >= min(len(names), len(words)):
            counts = f"{len(names)} lines against {len(words)} of {captions[0].name}"
            rows.append(Row(place, damage=f"{place}: {counts}"))
            break
        rows.append(_checked(place, table, names[number].strip(), words[number], "videos.txt"))
    return Listing(LISTS, table.parent, table, tuple(rows))


def _json_rows(table: Path) -> Iterator[Row]:
    try:
        objects = parse_json(_text(table))
    except ValueError as error:
        yield Row(str(table), damage=f"{table} should be JSON: {error}")
        return
    if not isinstance(objects, list):
        got = type(objects).__name__
        yield Row(str(table), damage=f"{table} should be a list of objects, got {got}")
        return
    for number, row in enumerate(objects, start=1):
        yield _object(f"{table}, entry {number}", table, row)


def _jsonl_rows(table: Path) -> Iterator[Row]:
    for number, line in enumerate(_lines(table), start=1):
        if not line.strip():
            continue
        place = f"{table}, line {number}"
        try:
            row = parse_json(line)
        except ValueError as error:
            yield Row(place, damage=f"{place} should be JSON: {error}")
        else:
            yield _object(place, table, row)


def _object(place: str, table: Path, row: Any) -> Row:
    if not isinstance(row, dict):
        return Row(place, damage=f"{place} should be a JSON object, got {json.dumps(row)[:60]}")
    return _columns(place, table, row)


def _csv_rows(table: Path) -> Iterator[Row]:
    text = _text(table)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
    while True:
        try:
            row: dict[Any, Any] = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            place = f"{table}, line {reader.line_num}"
            yield Row(place, damage=f"{place} should be CSV: {error}")
            continue
        place = f"{table}, line {reader.line_num}"
        if None in row:
            extra = row.pop(None)
            yield Row(place, damage=f"{place}: too many columns, {extra} is left")
            continue
        parsed = _columns(place, table, row)
        yield parsed
        if parsed.damage and not parsed.column and not _undecoded(*row.values()):
            return  # the heading is wrong, and every row would say so again


def _columns(place: str, table: Path, row: dict[Any, Any]) -> Row:
    """Return the row's video and caption, whatever the trainer calls them."""
    video, caption = (next((c for c in columns if c in row), "")
                      for columns in (VIDEO_COLUMNS, CAPTION_COLUMNS))  # fmt: skip
    if not video or not caption:
        expected = CAPTION_COLUMNS if video else VIDEO_COLUMNS
        got = sorted(map(str, row))
        return Row(place, damage=f"{place} should have one of {expected}, got {got}")
    return _checked(place, table, row[video], row[caption], video)


def _checked(place: str, table: Path, name: Any, caption: Any, column: str) -> Row:
    if _undecoded(name, caption):
        line = place.removeprefix(f"{table}, ")
        return Row(place, damage=f"{table} should be UTF-8, {line} is not", column=column)
    return Row(place, name, caption, column)


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".csv": _csv_rows,
    ".json": _json_rows,
}


def _text(path: Path) -> str:
    """Read text; bytes that are not UTF-8 become surrogates, which `_undecoded` finds."""
    return path.read_bytes().decode("utf-8-sig", "surrogateescape")


def _lines(path: Path) -> Iterator[str]:
    """Read text as `_text` does, line by line: a table may have millions."""
    with path.open("rb") as file:
        for number, line in enumerate(file):
            yield line.decode("utf-8" if number else "utf-8-sig", "surrogateescape")


def _undecoded(*values: Any) -> bool:
    """Tell whether any of these holds bytes that are not UTF-8."""
    return any(
        isinstance(value, str) and any("\udc80" <= letter <= "\udcff" for letter in value)
        for value in values
    )
