"""Keep a table of the clips given on the command line: their maps, state and moving fraction.

The table is clips.csv in the folder of the maps. It is what makes names safe: a clip keeps the map
it was once given, and no two clips share one.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motifocal.cli.output.measured_clips import name_gone
from motifocal.files.remote import RemotePath, absolute, states_of, to_path

if TYPE_CHECKING:
    from motifocal.data.workers.items import Part


@dataclass(frozen=True)
class ClipRow:
    """A clip in the table: where its map lies, what the clip was then, what was found in it.

    ``heatmap`` is relative to the folder; ``moving_fraction`` is the share of all frames' area
    that moves, empty while unknown; ``reason`` says why there is no map.
    """

    heatmap: str
    clip: str
    bytes: int
    modified: int
    frames: int = 0
    height: int = 0
    width: int = 0
    moving_fraction: float | None = None
    reason: str = ""

    @property
    def overlay(self) -> str:
        return f"{os.path.splitext(self.heatmap)[0]}.overlay.mp4"

    def same_clip(self, other: ClipRow) -> bool:
        return (self.bytes, self.modified) == (other.bytes, other.modified)


#: Bytes of a map's name without what is added to it: ".overlay.mp4" is, of the 255 there may be.
LONGEST = 230
COLUMNS = [field.name for field in fields(ClipRow)]
#: The column's earlier name, written beside it for one more release, and read in older tables.
EARLIER = {"hot": "moving_fraction"}


#: Of each column: its type in Arrow's words, its unit, and what it holds.
DESCRIBED = {
    "heatmap": ("string", "", "The map's file, relative to the table."),
    "clip": ("string", "", "Absolute path of the clip."),
    "bytes": ("int64", "bytes", "Size of the clip, with its mask where one was given."),
    "modified": ("int64", "ns since 1970", "When the clip, or its mask, was changed last."),
    "frames": ("int64", "frames", "Frames of the map; 0 where there is none."),
    "height": ("int64", "pixels", "Height of the map."),
    "width": ("int64", "pixels", "Width of the map."),
    "moving_fraction": ("double", "share, 0 to 1", "Share of the area of all frames whose map is "
                        "above 0.5; null where there is no map."),
    "reason": ("string", "", "Why there is no map; null where there is one."),
}  # fmt: skip


def list_clips(
    given: Iterable[Path], output: Path
) -> tuple[list[Path], list[tuple[str, str]]]:
    """List all clips once, as absolute paths, and (clip, reason) of those that are left out.

    What lies under the output folder is no clip. Raises ValueError where none is left.
    """
    found = [clips_in(path) for path in given]
    listed = dict.fromkeys(absolute(clip) for clips, _ in found for clip in clips)
    own = absolute(output)
    clips = [path for path in listed if own not in path.parents]
    if not clips:
        raise ValueError(f"there should be clips outside of {output}, got none")
    unread = {absolute(path): reason for _, left_out in found for path, reason in left_out}
    named, unnamed = part_by_name(clips)
    return named, [*((str(path), reason) for path, reason in unread.items()
                     if own not in (path, *path.parents)), *unnamed]  # fmt: skip


def part_by_name(clips: Iterable[Path]) -> tuple[list[Path], list[tuple[str, str]]]:
    """Part clips that a table can name from the others, (clip, reason). ValueError if none is left.
    """
    from motifocal.data.captions import NOT_UTF8
    from motifocal.files.names import is_utf8

    named: list[Path] = []
    others = []
    for clip in clips:
        if is_utf8(str(clip)):
            named.append(clip)
        else:
            others.append((str(clip), NOT_UTF8))
    if not named:
        raise ValueError("{}: {}".format(*others[0]))
    return named, others


def clips_in(path: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """List the videos that a path stands for, and (path, reason) of what is left out of a folder.

    A folder of nothing but images is one clip. Raises VideoError where there is none.
    """
    from motifocal.data.captions import missing_reason
    from motifocal.media.picture import PICTURE_SUFFIXES, VideoError, check_file
    from motifocal.media.video_files import VIDEO_FILES, find_videos

    if not path.is_dir():
        check_file(path)
        return [path], []
    videos, closed = find_videos(path)
    reasons = {video: missing_reason(path, video.relative_to(path).as_posix()) for video in videos}
    clips = [video for video, reason in reasons.items() if not reason]
    left_out = [*((video, reason) for video, reason in reasons.items() if reason),
                *((path / name, reason) for name, reason in closed)]  # fmt: skip
    if not clips and any(p.suffix.lower() in PICTURE_SUFFIXES for p in path.iterdir()):
        clips = [path]
    if not clips:
        first = "; {}: {}".format(*left_out[0]) if left_out else ""
        raise VideoError(f"{path} should hold {VIDEO_FILES}, got none{first}")
    return clips, left_out


def name_clips(clips: Sequence[Path]) -> dict[Path, str]:
    """Name each clip: its path without suffix, below the folder that all clips share.

    Raises ValueError where there is none: some are in a bucket, others are not.
    """
    remote = [clip for clip in clips if isinstance(clip, RemotePath)]
    if remote and len(remote) < len(clips):
        raise ValueError(f"clips should be all in a bucket or all on this machine, got {remote[0]} "
                         f"among {len(clips) - len(remote)} local ones")  # fmt: skip
    base = type(clips[0])(os.path.commonpath([str(clip.parent) for clip in clips]))
    stems = {clip: clip if clip.is_dir() else clip.with_suffix("") for clip in clips}
    return {clip: stem.relative_to(base).as_posix() for clip, stem in stems.items()}


def plan_rows(
    clips: Mapping[Path, str], output: Path, suffix: str, table: Mapping[str, ClipRow],
    masks: Mapping[Path, Path], part: Part,
) -> dict[str, ClipRow]:  # fmt: skip
    """Make a row for each clip of a part: as the table has it, or with a name of its own.

    Maps are called like their clips; every part names all, so that none takes another's name.
    What was made of a clip that has changed since, or its mask has, is deleted, so that no map is
    ever taken for one of another clip.
    """
    names = {name.casefold() for row in table.values() for name in (row.heatmap, row.overlay)}
    rows = {}
    for clip, called in clips.items():
        before, own = table.get(str(clip)), part.holds(called)
        if before is not None and not own:
            continue
        sources = [clip, *([masks[clip]] if clip in masks else [])]
        if before is None:
            # Maps that lie there may be other parts', which run at the same time.
            there = output if part.word is None else None
            row = with_unused_name(make_row(sources, shorten_path(called)), there, suffix, names)
            names |= {row.heatmap.casefold(), row.overlay.casefold()}
            if not own:
                continue
        else:
            row = make_row(sources, before.heatmap)
            if before.same_clip(row):
                row = before
            else:
                (output / row.heatmap).unlink(missing_ok=True)
                (output / row.overlay).unlink(missing_ok=True)
        rows[row.clip] = row
    return rows


def without_gone(
    table: Mapping[str, ClipRow], given: Iterable[Path], clips: Container[Path]
) -> dict[str, ClipRow]:
    """Leave out clips that were below a folder given now and are not there any more, and name them.

    Those of other folders, of earlier runs, stay; so do those in a folder that cannot be read.
    """
    folders = {absolute(path) for path in given}

    def is_gone(path: Path) -> bool:
        return path not in clips and not folders.isdisjoint(path.parents) and _is_missing(path)

    gone = [clip for clip in table if is_gone(to_path(clip))]
    name_gone(gone)
    left = dict(table)
    for clip in gone:
        del left[clip]
    return left


def _is_missing(path: Path) -> bool:
    if isinstance(path, RemotePath):  # a bucket was listed as a whole
        return True
    try:
        path.lstat()
    except OSError as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))
    return False


def shorten_path(called: str) -> str:
    """A path whose last part leaves room for a suffix; its folders exist, so they are not longer.
    """
    from motifocal.files.names import shortened

    folder, _, name = called.rpartition("/")
    return f"{folder}/{shortened(name, LONGEST)}" if folder else shortened(name, LONGEST)


def make_row(sources: Sequence[Path], heatmap: str) -> ClipRow:
    """Make the row of a clip, the first source, that nothing is known of yet.

    Its state is that of all sources together; of a folder, all its files count. What is gone since
    it was listed counts as empty: reading it will say so.
    """
    files = chain.from_iterable(s.iterdir() if s.is_dir() else [s] for s in sources)
    states = [state for state in states_of(files) if not isinstance(state, OSError)]
    modified = max((state.st_mtime_ns for state in states), default=0)
    return ClipRow(heatmap, str(sources[0]), sum(state.st_size for state in states), modified)


def with_unused_name(
    row: ClipRow, output: Path | None, suffix: str, names: set[str]
) -> ClipRow:
    """Give the row its map's suffix, and a number where another clip or a file has the name."""

    def is_free(name: str) -> bool:
        return name.casefold() not in names and not (output and (output / name).exists())

    tails = chain([""], (f"-{number}" for number in count(2)))
    tried = (replace(row, heatmap=f"{row.heatmap}{tail}{suffix}") for tail in tails)
    return next(row for row in tried if is_free(row.heatmap) and is_free(row.overlay))


def read_table(path: Path) -> dict[str, ClipRow]:
    """Read the rows by their clips; none where there is no table. ValueError for another table."""
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
        header = [EARLIER.get(name, name) for name in lines[0]] if lines else []
        if set(header) != set(COLUMNS):
            raise ValueError(f"the columns {', '.join(header)}")
        rows = (dict(zip(header, line, strict=True)) for line in lines[1:])
        return {row["clip"]: parse_row(row) for row in rows}
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} should be a table with the columns {', '.join(COLUMNS)}, got "
                         f"{error}") from error


def parse_row(row: Mapping[str, str]) -> ClipRow:
    from motifocal.files.csv_text import unguarded

    numbers = {name: int(row[name]) for name in ("bytes", "modified", "frames", "height", "width")}
    moving = float(row["moving_fraction"]) if row["moving_fraction"] else None
    return ClipRow(row["heatmap"], row["clip"], **numbers, moving_fraction=moving,
               reason=unguarded(row["reason"]))  # fmt: skip


def write_table(path: Path, rows: Iterable[ClipRow]) -> None:
    """Write the table whole or not at all."""
    from motifocal.files.atomic import write_text
    from motifocal.files.csv_text import csv_text

    names = [*COLUMNS, *EARLIER.values()]
    cells = map(asdict, rows)
    write_text(path, csv_text([*COLUMNS, *EARLIER], ([row[n] for n in names] for row in cells),
                              free=("reason",)))


def write_described(path: Path, rows: Iterable[ClipRow], about: Mapping[str, Any]) -> None:
    """Write the table once more, as .parquet or .jsonl, with what each column holds."""
    from motifocal.files.parquet import columns_from, write_rows

    columns = columns_from({name: {"kind": kind, "unit": unit, "definition": definition}
                            for name, (kind, unit, definition) in DESCRIBED.items()})
    cells = (asdict(row) | {"reason": row.reason or None} for row in rows)
    write_rows(path, columns, cells, about)
