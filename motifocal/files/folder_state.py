"""Tell whether a file, or anything below a folder, has changed, without opening a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def file_stamp(state: os.stat_result) -> tuple[int, int, int]:
    """Return a file's size and its times of change in nanoseconds, of its bytes and of its entry.

    The last no program can set: it tells a file that was put in another's place with its size and
    date.
    """
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns


def folder_state(folder: Path, without: Path | None = None) -> str | None:
    """Hash names, sizes and times of all files below a folder but those below `without` (sha256).

    Hidden files and folders are left out. None where folders are linked, or one cannot be read:
    what lies there may change unseen. A million files take some seconds, and no memory to speak of.
    """
    digest = hashlib.sha256()
    skipped = None if without is None else os.path.abspath(without)
    try:
        for line in _lines(os.path.abspath(folder), "", skipped):
            digest.update(line.encode("utf-8", "surrogateescape"))
    except (OSError, _LinkedFolder):
        return None
    return digest.hexdigest()


class _LinkedFolder(Exception):  # noqa: N818
    """There is a link to a folder."""


def _lines(folder: str, below: str, skipped: str | None) -> Iterator[str]:
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith(".") or entry.path == skipped:
            continue
        name = f"{below}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _lines(entry.path, name, skipped)
            continue
        if entry.is_symlink() and os.path.isdir(entry.path):
            raise _LinkedFolder(entry.path)
        try:
            state = entry.stat()
        except FileNotFoundError:  # a link that leads nowhere
            yield f"{name}\0gone\n"
            continue
        yield f"{name}\0{' '.join(map(str, file_stamp(state)))}\n"
