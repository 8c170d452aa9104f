"""List the clips of a folder to be examined: those in its captions, and those on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motifocal.data.caption_formats import BESIDE, PLAIN, Row, listed
from motifocal.data.captions import LONE_SURROGATE, NOT_UTF8, missing_reason, place_of
from motifocal.files.names import is_utf8
from motifocal.files.remote import RemotePath
from motifocal.media.video_files import VIDEO_FILES, find_videos

if TYPE_CHECKING:
    from motifocal.models.text_limit import TextLimit


@dataclass(slots=True)
class Entry:
    """One clip, or a row that leads to none (`path` is None then).

    `name` is the clip's path below the folder with slashes, or where the row is; `caption` is what
    is written down, None where nothing is. `faults` are (code, words).
    """

    name: str
    path: Path | None
    caption: str | None = None
    faults: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Folder:
    """A folder's entries in the order written down, and the format in words."""

    path: Path
    format: str
    entries: tuple[Entry, ...]

    @property
    def captioned(self) -> bool:
        """Whether anything is written down at all: a plain folder is not blamed for that."""
        return self.format != PLAIN


def gather(location: str | Path) -> Folder:
    """List the entries of a folder, or of one table of captions beside its clips.

    Raises ValueError where nothing is there, or several tables are; OSError where it cannot be
    read. What is wrong with single rows and files is in the entries.
    """
    listing = listed(location)
    entries: list[Entry] = []
    places: dict[str, Entry] = {}
    for row in listing.rows:
        place = None if row.damage and not row.name else place_of(row, listing.folder)
        if place in places:
            words = f"named again in {_short(row.place, listing.folder)}"
            places[place].faults.append(("named-twice", words))
            continue
        entry = _entry(row, place, listing.folder)
        entries.append(entry)
        if place is not None:
            places[place] = entry
    has_table = listing.format not in (BESIDE, PLAIN)
    # Of a bucket either a table names the clips, or they were listed as its rows.
    remote = isinstance(listing.folder, RemotePath)
    paths, closed = ((), ()) if remote else find_videos(listing.folder)
    for path in paths:
        name = path.relative_to(listing.folder).as_posix()
        if name in places:
            continue
        entry = _entry(Row(name, name), name, listing.folder)
        if has_table and entry.path is not None:
            table = listing.table.name if listing.table else "the table"
            entry.faults.append(("not-listed", f"no row of {table} names it"))
        entries.append(entry)
    for name, words in closed:
        entries.append(Entry(name, None, None, [("unreadable", words)]))
    if not entries:
        raise ValueError(f"{location} should hold {VIDEO_FILES}, got none")
    return Folder(listing.folder, listing.format, tuple(entries))


def mark_unread(entries: Iterable[Entry], limit: TextLimit) -> None:
    """Add a fault to every entry whose caption a text encoder does not read to its end."""
    for entry in entries:
        end = limit.unread(entry.caption or "")
        if end:
            words = f"of the caption {end!r} is not read: it has more than {limit.tokens} tokens"
            entry.faults.append(("caption-cut", words))


def _entry(row: Row, place: str | None, folder: Path) -> Entry:
    where = _short(row.place, folder)
    if row.damage and place is None:
        return Entry(where, None, None, [("damaged-row", _short(row.damage, folder))])
    if place is None:
        words = f"{str(row.name)[:200]!r} should be a relative path inside the folder"
        return Entry(where, None, _words(row.caption), [("outside", words)])
    path = folder / place
    entry = Entry(place, path, _words(row.caption))
    if row.damage:
        entry.faults.append(("damaged-row", _short(row.damage, folder)))
    elif row.caption is not None and not isinstance(row.caption, str):
        words = f"the caption should be text, got {type(row.caption).__name__}"
        entry.faults.append(("no-caption", words))
    elif entry.caption and not is_utf8(entry.caption):
        entry.faults.append(("no-caption", f"the {LONE_SURROGATE}"))
    if not is_utf8(place):
        entry.faults.append(("name-not-utf8", NOT_UTF8))
    reason = missing_reason(folder, place)
    if reason:
        entry.path = None
        entry.faults.append(("missing", reason))
    elif path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        entry.faults.append(("link", "the file is a link out of the folder"))
    return entry


def _words(caption: Any) -> str | None:
    return caption.strip() if isinstance(caption, str) else None


def _short(text: str, folder: Path) -> str:
    """Return the text without the folder's own path before names."""
    return text.replace(f"{folder}{os.sep}", "")
