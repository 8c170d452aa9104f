"""Add JSON lines to a file that a kill may interrupt at any byte, and read what is whole in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from motifocal.files import disk
from motifocal.files.json_text import parse_json


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add one JSON line in a single write, on a line of its own even after a torn one.

    It has reached the disk when this returns.
    """
    with LineWriter.open(path) as writer:
        writer.add(line)
        os.fsync(writer.file.fileno())


class LineWriter:
    """A file of JSON lines that is open for adding; each line is in the file when `add` returns.

    So it outlives the process, though not a power failure.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[LineWriter]:
        """Open for adding, and begin a new line after a torn one."""
        with path.open("a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            yield cls(path, file)

    def add(self, line: Mapping[str, Any]) -> None:
        """Add one line in a single write; an OSError of a full disk says what to do."""
        text = json.dumps(line, allow_nan=False)
        with disk.writing(self.path):
            self.file.write(text.encode() + b"\n")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects in a file of JSON lines, one at a time, without lines that a kill has torn.
    """
    with path.open("rb") as file:
        for text in file:
            try:
                line = parse_json(text.decode("utf-8", "replace"))
            except ValueError:
                continue
            if isinstance(line, dict):
                yield line
