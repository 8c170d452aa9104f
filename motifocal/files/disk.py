"""Say which path could not be written because a disk is full, and what to do."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: No space left, and no share of it left for this user.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_SAID = re.compile(r"\(os error (\d+)\)")


def room_at(path: Path) -> str:
    """Say how much is free on the disk of `path`; the path need not exist."""
    folder = next((parent for parent in (path, *path.parents) if parent.is_dir()), Path())
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return f"{_size(usage.free)} of {_size(usage.total)} are free at {folder}"


def full(path: Path) -> str:
    """Say in one line what a full disk means and what to do about it."""
    return f"{path} cannot be written, the disk is full ({room_at(path)}): make room there"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Translate the error of a full disk to an OSError that names `path`, the room, and what to do.
    """
    try:
        yield
    except Exception as error:
        number = _number(error)
        if number not in NO_ROOM:
            raise
        named = OSError(full(path))
        named.errno = number
        raise named from error


def _number(error: BaseException) -> int | None:
    """Return the system's number of an error that is, or hides, an OSError.

    safetensors says it in words alone, in a class told by its name, since the light core has no
    safetensors; torch.save to an open file raises another error on top.
    """
    if isinstance(error, OSError):
        return error.errno
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
        return error.__context__.errno
    said = _SAID.search(str(error)) if type(error).__name__ == "SafetensorError" else None
    return int(said[1]) if said else None


def _size(count: int) -> str:
    """Format a number of bytes in a suitable unit."""
    size, units = float(count), ["bytes", "KB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.0f} {units[0]}" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
