"""A place with clips becomes a list of them, and what was exported of each becomes a table.

The table is JSON, a line for each sample: which file it is in, and which frames of which clip it is
of. A clip stands in it only when all of its samples are there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from motifocal.files.json_text import parse_json


@dataclass(frozen=True)
class Clip:
    """A video file; `name` is its path below the folder, `caption` empty where it has none."""

    path: Path
    name: str
    caption: str

    @property
    def stem(self) -> str:
        return os.path.splitext(self.name)[0]


@dataclass(frozen=True)
class Row:
    """A sample in the table.

    `file` is relative to the folder; `indices`, `fps`, `height`, `width` and `resize` are those of
    its Selection; `moves` is the mean of the weight: the share of the sample that moves.
    """

    file: str
    clip: str
    sha256: str
    caption: str
    indices: tuple[int, ...]
    fps: float
    height: int
    width: int
    resize: str
    moves: float


def clips_of(location: Path, output: Path) -> tuple[list[Clip], list[tuple[str, str]]]:
    """The clips of a video, a folder or a table of captions, and (name, reason) of what is none.

    Captions may be missing. What lies below the output folder is left out. Raises ValueError where
    nothing can be read, or not a single clip is left.
    """
    from motifocal.data.caption_formats import listed
    from motifocal.data.captions import place_of
    from motifocal.media.video import VIDEO_SUFFIXES

    if location.is_file() and location.suffix.lower() in VIDEO_SUFFIXES:
        return [Clip(location, location.name, "")], []
    found, own = listed(location), Path(os.path.abspath(output))
    clips: dict[str, Clip] = {}
    bad: list[tuple[str, str]] = []
    for row in found.rows:
        place = None if row.damage else place_of(row, found.folder)
        path = found.folder / (place or "")
        if place is not None and own in Path(os.path.abspath(path)).parents:
            continue
        if place is None:
            bad.append((str(row.name or row.place), row.damage or "should lie inside the folder"))
        elif not path.is_file():
            bad.append((place, "no such file"))
        elif place not in clips:
            clips[place] = Clip(path, place, str(row.caption or "").strip())
    if not clips:
        first = f"; {bad[0][0]}: {bad[0][1]}" if bad else ""
        raise ValueError(f"{location} should hold videos outside of {output}, got none{first}")
    return list(clips.values()), bad


def check_names(clips: Iterable[Clip]) -> None:
    """ValueError where two clips would write to one file, as a.mp4 and a.mov would."""
    taken: dict[str, str] = {}
    for clip in clips:
        other = taken.setdefault(clip.stem.casefold(), clip.name)
        if other != clip.name:
            raise ValueError(
                f"{other} and {clip.name} would have masks of one name; rename one of them"
            )


def read_table(path: Path) -> dict[str, list[Row]]:
    """The rows of each clip; none where there is no table. ValueError for another table."""
    rows: dict[str, list[Row]] = {}
    if not path.exists():
        return rows
    names = {field.name for field in fields(Row)}
    # Not splitlines, which ends a line in the middle of a caption with U+2028 in it.
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for number, line in enumerate(lines if lines != [""] else [], start=1):
        held = parse_json(line)
        if not isinstance(held, dict) or set(held) != names:
            raise ValueError(f"{path}, line {number} should have the keys {sorted(names)}")
        row = Row(**{**held, "indices": tuple(held["indices"])})
        # Files of a clip that has changed are deleted, so no row may name one elsewhere.
        if Path(row.file).is_absolute() or ".." in Path(row.file).parts:
            raise ValueError(f"{path}, line {number} should name a file below, got {row.file!r}")
        rows.setdefault(row.clip, []).append(row)
    return rows


def write_table(path: Path, rows: Mapping[str, Iterable[Row]]) -> None:
    """Write the table whole or not at all, clips in the order of their names."""
    from motifocal.files.atomic import write_text

    lines = [
        json.dumps(asdict(row), ensure_ascii=False) + "\n"
        for clip in sorted(rows)
        for row in rows[clip]
    ]
    write_text(path, "".join(lines))


def write_clip_captions(folder: Path, rows: Mapping[str, Iterable[Row]]) -> None:
    """Write metadata.jsonl for the clips beside the masks; without a caption the text is empty."""
    from motifocal.files.atomic import write_text

    lines = [
        json.dumps({"file_name": Path(row.file).relative_to("masks").as_posix(),
                    "text": row.caption}, ensure_ascii=False) + "\n"
        for clip in sorted(rows)
        for row in rows[clip]
    ]  # fmt: skip
    write_text(folder / "metadata.jsonl", "".join(lines))
