"""Files appear whole or not at all, whenever a program ends; a file's bytes become its sha256."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from motifocal import disk

CHUNK = 2**20
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A name beside `path` to write to: it becomes `path` if the block ends well, else it goes.

    The name is used by no other process. With `durable` the file and its name have reached the
    disk when the block is left, so that they outlive a power failure too.

    Raises FileNotFoundError or IsADirectoryError where `path` cannot be a file, and an OSError that
    says what to do where the disk is full.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder")
    # Not built from path.name, which may already be as long as the file system allows.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with disk.writing(path):
            yield temporary
            if durable:
                _flush(temporary)
            os.replace(temporary, path)
            if durable:
                _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write UTF-8 with plain line ends; the file appears whole or not at all."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def remove_temporaries(folder: Path) -> None:
    """Delete what killed processes were writing to in `folder`; only while no other writes there.

    A folder that does not exist holds none.
    """
    if folder.is_dir():
        for path in folder.iterdir():
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                path.unlink()


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, 64 hexadecimal digits. OSError where it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
