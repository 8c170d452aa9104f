"""Read the captioned videos of a folder or a table (`caption_formats`), and list the bad rows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motifocal.data.caption_formats import Row, listed
from motifocal.files.names import stored_name

# musubi-tuner and the LTX trainers take absolute paths; videofolder does not.
ABSOLUTE_COLUMNS = ("video_path", "media_path")


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
    """The captioned videos of a folder in their stored order, and what had to be left out.

    `format` says in words how the captions were written down.
    """

    videos: tuple[CaptionedVideo, ...]
    rejected: tuple[Rejected, ...]
    format: str = ""


def read_captions(location: str | Path) -> CaptionedFolder:
    """The captioned videos of a folder, or of one table (`caption_formats`) beside its videos.

    A row without a caption, whose video is missing, lies outside the folder or was named before,
    is listed in `rejected`. Symbolic links inside the folder are followed.

    Raises:
        ValueError: nothing in a known format is there, two tables are, a table is damaged or lacks
            a column, or not a single clip is left.
    """
    found = listed(location)
    videos: list[CaptionedVideo] = []
    rejected: list[Rejected] = []
    seen: set[str] = set()
    for row in found.rows:
        if row.damage:
            raise ValueError(row.damage)
        place = place_of(row, found.folder)
        reason = _fault(found.folder, place, row.caption, seen)
        if reason is None and place is not None:
            seen.add(place)
            videos.append(CaptionedVideo(found.folder / place, str(row.caption).strip(), place))
        else:
            rejected.append(Rejected(str(row.name), str(reason)))
    if not videos:
        first = f"; {rejected[0].name}: {rejected[0].reason}" if rejected else ""
        raise ValueError(f"{location} should hold captioned videos, got none{first}")
    return CaptionedFolder(tuple(videos), tuple(rejected), found.format)


def place_of(row: Row, folder: Path) -> str | None:
    """The place below the folder that a row's video has, with slashes; None if it has none there.

    Where the trainer takes absolute paths, or such as count from where it is started, so does this,
    as long as they lead into the folder. Letters with accents are spelled as they are on the disk.
    """
    name = row.name
    if row.column in ABSOLUTE_COLUMNS and isinstance(name, str) and "\0" not in name:
        base, path = os.path.abspath(folder), os.path.abspath(name)
        elsewhere = os.path.isabs(name) or not os.path.exists(os.path.join(base, name))
        if elsewhere and path.startswith(os.path.join(base, "")):
            name = os.path.relpath(path, base)
    place = _inside(name)
    return None if place is None else stored_name(folder, place)


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
