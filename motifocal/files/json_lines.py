"""Append JSON lines to a file that a kill may truncate at any byte, and read the whole ones.

Nothing can be added to an object in a bucket. There the file is a folder of that name with objects
of some lines each, written every few seconds.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from motifocal.files import disk
from motifocal.files.atomic import write_bytes
from motifocal.files.json_text import parse_json
from motifocal.files.remote import RemotePath, read_all

#: What a kill loses of lines that are added to a file in a bucket.
SECONDS_AN_OBJECT = 10.0


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add one JSON line in a single write, on a line of its own even after a torn one.

    It has reached the disk when this returns.
    """
    with LineWriter.open(path) as writer:
        writer.add(line)
        writer.sync()


class LineWriter:
    """A file of JSON lines that is open for adding; each line is in the file when `add` returns.

    So it outlives the process, though not a power failure. In a bucket a kill loses the lines of
    the last seconds.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[LineWriter]:
        """Open for adding, and begin a new line after a torn one."""
        if isinstance(path, RemotePath):
            objects = _ObjectWriter(path, io.BytesIO())
            try:
                yield objects
            finally:
                objects.sync()
            return
        with path.open("a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            yield cls(path, file)

    def add(self, line: Mapping[str, Any]) -> None:
        """Add one line in a single write; an OSError of a full disk says what to do."""
        left = json.dumps(line, allow_nan=False).encode() + b"\n"
        with disk.writing(self.path):
            while left:  # a disk that is about to be full takes a part
                left = left[self.file.write(left) :]

    def sync(self) -> None:
        """Return once all lines are on the disk."""
        os.fsync(self.file.fileno())


class _ObjectWriter(LineWriter):
    """Keeps lines for some seconds, and writes them as an object."""

    def __init__(self, path: RemotePath, file: io.BytesIO) -> None:
        super().__init__(path, file)
        self.buffer, self.written = file, time.monotonic()

    def add(self, line: Mapping[str, Any]) -> None:
        super().add(line)
        if time.monotonic() - self.written > SECONDS_AN_OBJECT:
            self.sync()

    def sync(self) -> None:
        if lines := self.buffer.getvalue():
            # By their time, so that later lines are read later.
            name = f"{time.time_ns():020d}-{secrets.token_hex(4)}.jsonl"
            write_bytes(self.path / name, lines)
            self.buffer.seek(0)
            self.buffer.truncate()
        self.written = time.monotonic()


def journal_bytes(path: Path) -> bytes:
    """Read all that was added to a file of JSON lines."""
    if isinstance(path, RemotePath):
        return b"".join(read_all(sorted(path.iterdir())))
    return path.read_bytes()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects in a file of JSON lines, one at a time, without lines that a kill has torn.
    """
    remote = isinstance(path, RemotePath)
    with io.BytesIO(journal_bytes(path)) if remote else path.open("rb") as file:
        for text in file:
            try:
                line = parse_json(text.decode("utf-8", "replace"))
            except ValueError:
                continue
            if isinstance(line, dict):
                yield line
