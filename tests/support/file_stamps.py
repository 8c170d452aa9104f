"""What tells whether files were written anew."""

from __future__ import annotations

from pathlib import Path


def stamps(folder: Path, *suffixes: str) -> dict[str, tuple[int, int]]:
    """Path inside the folder of every file with one of these suffixes -> when written, inode."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.rglob("*")
        if path.suffix in suffixes
    }
