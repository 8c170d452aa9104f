"""Find the videos of a folder, and say which folders in it cannot be looked into."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from motifocal.files.remote import RemotePath, to_path
from motifocal.media.picture import VideoError, check_file, natural_key

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".gif", ".ogv", ".mxf"}
    | {".mpg", ".mpeg", ".vob", ".m2v", ".ts", ".mts", ".m2ts", ".flv", ".f4v", ".wmv", ".asf"}
)
VIDEO_FILES = "videos (.mp4, .mov, .mkv, .webm, .gif, ...)"  # for messages


class FoundVideos(NamedTuple):
    """Videos below a folder, and (name below it, reason) of folders that were left out."""

    paths: list[Path]
    closed: list[tuple[str, str]]


def find_videos(folder: Path) -> FoundVideos:
    """List what is named like a video below a folder, in natural order.

    A link that leads nowhere is listed too, so that whoever reads it can say so. Linked folders are
    not entered; files and folders whose names begin with a dot are left out.
    """
    if isinstance(folder, RemotePath):
        return FoundVideos(sorted(_objects(folder), key=natural_key), [])
    paths: list[Path] = []
    errors: list[OSError] = []
    for here, folders, files in os.walk(folder, onerror=errors.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        linked = [name for name in folders if os.path.islink(os.path.join(here, name))]
        paths += [Path(here, name) for name in (*files, *linked) if _is_named_so(name)]
    closed = [(Path(error.filename).relative_to(folder).as_posix(),
               f"a folder that cannot be looked into ({error.strerror})") for error in errors]
    return FoundVideos(sorted(paths, key=natural_key), closed)


def list_videos(path: str | Path) -> list[Path]:
    """List a file itself, or all videos under a folder in natural order, without hidden ones."""
    path = to_path(path)
    if not path.is_dir():
        check_file(path)
        return [path]
    videos = [video for video in find_videos(path).paths if video.is_file()]
    if not videos:
        raise VideoError(f"{path} should hold {VIDEO_FILES}, got none")
    return videos


def _objects(folder: RemotePath) -> Iterator[RemotePath]:
    """List the videos of a bucket, with their states; it has no folders but in names."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if _is_named_so(path.name) and not hidden and path.is_file():
            yield path


def _is_named_so(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES and not name.startswith(".")
