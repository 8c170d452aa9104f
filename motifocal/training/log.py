"""Log training steps as JSON lines, each step once, however often the run was killed.

A line is a flat dictionary with a "step". Lines stay in memory for some seconds, since writing
each one at once would cost more than it tells.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from motifocal.files.atomic import write_text
from motifocal.files.json_text import parse_json

#: What of a step's line becomes curves.
CURVES = ("loss", "diffusion", "motion", "norm", "rate")
HELD_OUT = "held_out.jsonl"  # the log of held-out losses, in the folder of a run


class TrainingLog:
    """The JSONL log of a run that stands at `step`; lines of later steps are dropped.

    A kill leaves lines of steps after the last checkpoint, which are then taken again, and perhaps
    half a line at the end.
    """

    def __init__(self, path: Path, step: int, seconds: float = 10.0) -> None:
        self.path, self.seconds = path, seconds
        kept = [line for line in read_log(path) if line["step"] <= step]
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file: IO[str] = path.open("a")
        self._waiting: list[str] = []
        self._written = time.monotonic()

    def write(self, line: Mapping[str, float | None]) -> None:
        """Take a line; it is on disk `seconds` later at the latest, if more lines follow.

        A number that is not finite becomes null: JSON has no nan.
        """
        finite = {key: value if value is None or math.isfinite(value) else None
                  for key, value in line.items()}  # fmt: skip
        self._waiting.append(json.dumps(finite) + "\n")
        if time.monotonic() - self._written > self.seconds:
            self.flush()

    def flush(self) -> None:
        """Bring all lines to the disk."""
        self._file.writelines(self._waiting)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._waiting.clear()
        self._written = time.monotonic()

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()
        self._file.close()


def read_log(path: Path) -> list[dict[str, float]]:
    """Read a log, oldest line first; none where there is no file, half a last line left out.

    Raises ValueError for a line in the middle that is no JSON.
    """
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    lines.pop()  # empty, or what a kill left of a line
    entries = []
    for number, text in enumerate(lines, start=1):
        try:
            entries.append(parse_json(text))
        except ValueError as error:
            raise ValueError(f"{path}, line {number} is no JSON: {text[:60]!r}") from error
    return entries
