"""Write files and folders atomically; hash files."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from motifocal.files import disk
from motifocal.files.remote import RemotePath, uploading

CHUNK = 2**20
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a name beside `path` to write to; it replaces `path` if the block ends well, else it is
    removed.

    The name is used by no other process. With `durable` the file and its name have reached the
    disk when the block is left, so that they outlive a power failure too.

    Raises FileNotFoundError or IsADirectoryError where `path` cannot be a file, and an OSError that
    says what to do where the disk is full.

    An object in a bucket appears as a whole too; the name is then that of a temporary file. So it
    is where `path` is a device, a pipe or the standard output (/dev/stdout): these stay, and get
    the content when the block ends well.
    """
    if isinstance(path, RemotePath):
        with uploading(path) as temporary:
            yield temporary
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder")
    if _is_stream(path):
        with _streaming(path) as temporary:
            yield temporary
        return
    temporary = _temporary(path)
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


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder` to fill; it replaces `folder` if the block ends well.

    Files in it then have the modes that the umask gives, whatever wrote them: those of safetensors
    are their owner's alone. What was at `folder` before goes; of a link, the link alone.

    Raises an OSError that says what to do where the disk is full.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(folder)
    before = _temporary(folder)
    temporary.mkdir()
    try:
        with disk.writing(folder):
            yield temporary
        mode = temporary.stat().st_mode & 0o666
        for path in temporary.rglob("*"):
            if path.is_file():
                path.chmod(mode)
        if os.path.lexists(folder):  # a link that leads nowhere too
            folder.rename(before)
        temporary.rename(folder)
    finally:
        if os.path.lexists(before) and not os.path.lexists(folder):  # the new one is not there
            before.rename(folder)
        for path in (temporary, before):
            _remove(path, ignore_errors=True)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write UTF-8 with plain line ends; the file appears whole or not at all."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes; the file appears whole or not at all.

    Its mode is that of the umask, unlike those of safetensors' `save_file`: their owner's alone.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_new_text(path: Path, text: str, mode: int) -> bool:
    """Write UTF-8 to a file that does not exist yet, with the permissions `mode`.

    False, and nothing is changed, where `path` exists. It appears whole or not at all, and is on
    the disk when this returns; of several processes that write it at once, one succeeds.
    """
    if os.path.lexists(path):
        return False
    temporary = _temporary(path)
    try:
        with disk.writing(path):
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            _flush(temporary)
            os.link(temporary, path)  # unlike a rename it replaces nothing
            _flush(path.parent)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def remove_temporaries(*folders: Path) -> None:
    """Delete what killed processes were writing to in folders; only while no other writes there.

    A folder that does not exist holds none, and neither does a bucket.
    """
    for folder in folders:
        if isinstance(folder, RemotePath) or not folder.is_dir():
            continue
        for path in folder.iterdir():
            if not _TEMPORARY.fullmatch(path.name):
                continue
            _remove(path)


def sha256_of(*paths: Path) -> str:
    """Return the sha256 of the bytes of files, one after the other: 64 hexadecimal digits.

    Raise OSError where one cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _is_stream(path: Path) -> bool:
    """Tell whether a path is a device, a pipe, a socket, or a standard stream of this process."""
    return path.exists() and not (path.is_file() and _standard_stream(path) is None)


def _standard_stream(path: Path) -> TextIO | None:
    """Return the standard output or error where a path leads to it, as /dev/stdout does.

    Where it is redirected to a file, that is a link to the file.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if os.path.samestat(path.stat(), os.fstat(stream.fileno())):
                return stream
        except (OSError, ValueError, AttributeError):  # closed, or no file, as in a notebook
            continue
    return None


@contextmanager
def _streaming(path: Path) -> Iterator[Path]:
    """Yield the name of a temporary file, whose content goes to a stream if the block ends well."""
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "content"
        with disk.writing(temporary):
            yield temporary
        target: Path | int = path
        if (standard := _standard_stream(path)) is not None:
            standard.flush()
            target = os.dup(standard.fileno())  # opened anew, a file would be written over
        with temporary.open("rb") as content, open(target, "wb") as stream:
            shutil.copyfileobj(content, stream)


def _temporary(path: Path) -> Path:
    """Return a name beside `path` that no other process uses, and `remove_temporaries` knows."""
    # Not built from path.name, which may already be as long as the file system allows.
    return path.with_name(f".{secrets.token_hex(8)}.tmp")


def _remove(path: Path, *, ignore_errors: bool = False) -> None:
    """Delete a folder with all that is in it, or a file; of a link, the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
