"""Read a table of pairs from CSV, JSON or JSONL, with standard names for its columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from motifocal.data.table_columns import delimiter_of
from motifocal.files.json_text import parse_json_at

#: Standard name -> the names that people give the column, case aside; the first there counts.
ALIASES: dict[str, tuple[str, ...]] = {
    "image_id": ("image_id", "image", "image_name", "img", "id", "picture", "first_frame"),
    "prompt": ("prompt", "text", "caption", "sentence", "text_prompt", "prompt_en"),
    "scenario": ("scenario", "category", "class", "type", "group"),
    "file": ("file", "file_name", "video", "video_name", "output"),
}


def read_rows(
    path: Path, columns: Mapping[str, tuple[str, ...]] = ALIASES
) -> list[dict[str, str]]:
    """Read the rows of a .csv, .json or .jsonl file as image_id, prompt, scenario, file (what there
    is), or as other `columns`, each under one of its names.

    JSON holds a list of objects, an object with a list "pairs", or an object that maps an image id
    to its prompt or prompts. Other columns are left out. Raises ValueError, naming the row,
    for what is none of these and for bytes that are not UTF-8.
    """
    readers = {".csv": _from_csv, ".json": _from_json, ".jsonl": _from_jsonl}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path} should end in {', '.join(readers)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} should be UTF-8: {error}") from error
    rows = readers[path.suffix.lower()](text, path)
    return [_renamed(row, f"{path}, row {number}", columns)
            for number, row in enumerate(rows, start=1)]


def _from_csv(text: str, path: Path) -> list[Mapping[str, object]]:
    file = io.StringIO(text, newline="")
    reader = csv.DictReader(file, strict=True, delimiter=delimiter_of(text, _names_pairs))
    try:
        rows = list(reader)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            cells = len(reader.fieldnames or ())
            raise ValueError(f"{path}, row {number} should have {cells} cells (is a comma in a "
                             "prompt not quoted?)")
    return list(rows)


def _names_pairs(columns: set[str]) -> bool:
    given = {column.strip().lower().replace(" ", "_") for column in columns}
    return all(given & set(ALIASES[name]) for name in ("image_id", "prompt"))


def _from_json(text: str, path: Path) -> list[Mapping[str, object]]:
    content = parse_json_at(path, text)
    if isinstance(content, dict) and isinstance(content.get("pairs"), list):
        content = content["pairs"]
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        return [{"image_id": image_id, "prompt": prompt} for image_id, prompts in content.items()
                for prompt in (prompts if isinstance(prompts, list) else [prompts])]
    raise ValueError(f"{path} should hold a list or an object, got {type(content).__name__}")


def _from_jsonl(text: str, path: Path) -> list[Mapping[str, object]]:
    return [parse_json_at(f"{path}, line {number}", line)
            for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _renamed(
    row: object, place: str, known: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    """Return the known columns under their standard names, with their values stripped."""
    if not isinstance(row, Mapping):
        raise ValueError(f"{place} should be an object, got {row!r}")
    given = {str(key).strip().lower().replace(" ", "_"): value for key, value in row.items()}
    columns: dict[str, str] = {}
    for name, aliases in known.items():
        there = [alias for alias in aliases if alias in given]
        if there:
            value = given[there[0]]
            if value is not None and not isinstance(value, str | int):
                raise ValueError(f"{place}: {there[0]} should be text, got {value!r}")
            columns[name] = "" if value is None else str(value).strip()
    return columns
