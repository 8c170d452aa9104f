"""Read the captioned videos of a folder or a table (`caption_formats`), and list the bad rows."""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from motifocal.data.caption_formats import Listing, Row, listed
from motifocal.files.names import is_utf8, stored_name
from motifocal.files.remote import RemotePath, absolute, is_remote
from motifocal.media.video_files import VIDEO_FILES, VIDEO_SUFFIXES

# musubi-tuner and the LTX trainers take absolute paths; videofolder does not.
ABSOLUTE_COLUMNS = ("video_path", "media_path")
LONE_SURROGATE = "caption contains a lone surrogate (half of a UTF-16 pair)"
NOT_UTF8 = "its name is not UTF-8, rename it"


@dataclass(frozen=True)
class CaptionedVideo:
    """A video file and what it shows; `name` is its path below the folder, with slashes."""

    path: Path
    caption: str
    name: str

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return os.path.splitext(self.name)[0]


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

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(video.name for video in self.videos)

    @cached_property
    def _left_out(self) -> frozenset[str]:
        return frozenset(clip.name for clip in self.rejected)

    def may_hold(self, name: str) -> bool:
        """Tell whether a clip of this name is there, or in a folder that was left out."""
        above = (parent.as_posix() for parent in PurePosixPath(name).parents)
        return name in self._names or any(parent in self._left_out for parent in above)


def read_captions(location: str | Path) -> CaptionedFolder:
    """Read the captioned videos of a folder, or of one table (`caption_formats`) beside its videos.

    A row without a caption, whose video is missing, lies outside the folder or was named before,
    is listed in `rejected`. Symbolic links inside the folder are followed.

    Raises:
        ValueError: nothing in a known format is there, two tables are, a table is damaged or lacks
            a column, or not a single clip is left.
    """
    listing = listed(location)
    videos: dict[str, CaptionedVideo] = {}
    rejected: list[Rejected] = []
    for row in listing.rows:
        if row.damage:
            raise ValueError(row.damage)
        place = place_of(row, listing.folder)
        reason = (_caption_fault(row, place, videos) or _name_fault(place)
                  or missing_reason(listing.folder, place))
        if reason is None and place is not None:
            path = listing.folder / place
            videos[place] = CaptionedVideo(path, str(row.caption).strip(), place)
        else:
            rejected.append(Rejected(str(row.name), str(reason)))
    rejected += [Rejected(name, reason) for name, reason in listing.closed]
    expected = f"{location} should hold captioned {VIDEO_FILES}, such as a.mp4 beside a.txt"
    return _folder(listing, videos, rejected, expected)


def read_clips(location: Path, output: Path) -> CaptionedFolder:
    """Read the clips of a video, a folder or a table, whose captions may be missing.

    Damaged rows and those without a file are listed in `rejected`; what lies below the output
    folder is left out. Raises ValueError where nothing can be read, or not a single clip is left.
    """
    if location.is_file() and location.suffix.lower() in VIDEO_SUFFIXES:
        return CaptionedFolder((CaptionedVideo(location, "", location.name),), ())
    listing, own = listed(location), absolute(output)
    videos: dict[str, CaptionedVideo] = {}
    rejected: list[Rejected] = []
    for row in listing.rows:
        place = None if row.damage else place_of(row, listing.folder)
        path = listing.folder / (place or "")
        if place in videos or (place and own in absolute(path).parents):
            continue
        reason = row.damage or _name_fault(place) or missing_reason(listing.folder, place)
        if reason is None and place is not None:
            videos[place] = CaptionedVideo(path, str(row.caption or "").strip(), place)
        else:
            rejected.append(Rejected(place or str(row.name or row.place), str(reason)))
    rejected += [Rejected(name, reason) for name, reason in listing.closed
                 if own not in absolute(listing.folder / name / "any").parents]  # fmt: skip
    expected = f"{location} should hold {VIDEO_FILES} outside of {output}"
    return _folder(listing, videos, rejected, expected)


def _folder(
    listing: Listing, videos: dict[str, CaptionedVideo], rejected: list[Rejected], expected: str
) -> CaptionedFolder:
    """Make a folder of the videos; ValueError, with the first reason, where there are none."""
    if not videos:
        first = f"; {rejected[0].name}: {rejected[0].reason}" if rejected else ""
        raise ValueError(f"{expected}, got none{first}")
    return CaptionedFolder(tuple(videos.values()), tuple(rejected), listing.format)


def place_of(row: Row, folder: Path) -> str | None:
    """Return a video's place below the folder, with slashes; None if it has none there.

    Where the trainer takes absolute paths, or such as count from where it is started, so does this,
    as long as they lead into the folder. Letters with accents are spelled as they are on the disk.
    Tables in a bucket may name URLs.
    """
    name = row.name
    if isinstance(folder, RemotePath) and isinstance(name, str):
        name = name.removeprefix(f"{folder}/")
    elif row.column in ABSOLUTE_COLUMNS and isinstance(name, str) and "\0" not in name:
        base, path = os.path.abspath(folder), os.path.abspath(name)
        elsewhere = os.path.isabs(name) or not os.path.exists(os.path.join(base, name))
        if elsewhere and path.startswith(os.path.join(base, "")):
            name = os.path.relpath(path, base)
    place = None if is_remote(name) else _inside(name)  # a URL of another folder
    return None if place is None else stored_name(folder, place)


def _inside(name: Any) -> str | None:
    """Return the place below the folder that a name stands for, or None.

    Only the name is looked at: what links inside the folder point to is their owner's business.
    """
    if not isinstance(name, str) or not name.strip() or "\0" in name or os.path.isabs(name):
        return None
    place = os.path.normpath(name)
    return None if place.split(os.sep)[0] in (os.pardir, os.curdir) else Path(place).as_posix()


def _caption_fault(row: Row, place: str | None, before: Container[str]) -> str | None:
    """Say why a row's caption, or its second naming of a clip, cannot be used, if so."""
    if place is None:
        return None  # told by `missing_reason`
    if row.caption is None or (isinstance(row.caption, str) and not row.caption.strip()):
        return "has no caption"
    if not isinstance(row.caption, str):
        return f"caption should be text, got {type(row.caption).__name__}"
    if not is_utf8(row.caption):
        return LONE_SURROGATE
    return "is named twice; the first counts" if place in before else None


def _name_fault(place: str | None) -> str | None:
    """Say why tables cannot name a video at a place, if so."""
    return NOT_UTF8 if place is not None and not is_utf8(place) else None


def missing_reason(folder: Path, place: str | None) -> str | None:
    """Say why there is no file to read at a place (`place_of`), if so.

    A bucket is not asked: an object that is not there is found missing when it is to be read.
    """
    if place is None:
        return "should be a relative path inside the folder"
    if isinstance(folder, RemotePath):
        return None
    path = folder / place
    try:
        if path.is_file():
            return None
    except OSError as error:  # a name that the file system does not take
        return f"no such file ({error.strerror})"
    if path.exists():
        return "is no file"
    return "a link that leads nowhere" if path.is_symlink() else "no such file"
