"""Read the findings of earlier runs; memory holds only their positions in the files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from motifocal.files.json_lines import journal_bytes
from motifocal.files.json_text import parse_json
from motifocal.files.remote import RemotePath
from motifocal.inspection.finding import Finding, finding_from, is_of_another_version

_KEPT = 32  # of a key's 64 hexadecimal digits
_FILES = 2**20  # more than there may be


class KnownFindings:
    """Findings by key, some 0.2 kB for each; those in a bucket are held in memory as text."""

    def __init__(self) -> None:
        self._files: list[Callable[[], BinaryIO]] = []
        self._places: dict[bytes, int] = {}  # offset of the line and, below, the file

    def add(self, path: Path, *, mend: bool) -> None:
        """Add the findings of a file; later ones replace earlier ones. See `read_findings`."""
        if not path.exists():
            return
        number, file = len(self._files), _opener(path)
        self._files.append(file)
        for offset, key, _ in read_findings(path, mend=mend, file=file):
            self._places[key[:_KEPT].encode()] = offset * _FILES + number

    def get(self, key: str) -> Finding | None:
        """Read the finding of a key; None where there is none."""
        place = self._places.get(key[:_KEPT].encode())
        if place is None:
            return None
        offset, number = divmod(place, _FILES)
        with self._files[number]() as file:
            file.seek(offset)
            return finding_from(parse_json(file.readline())["finding"])


def _opener(path: Path) -> Callable[[], BinaryIO]:
    """Return what opens a file of findings for reading."""
    if isinstance(path, RemotePath):
        return partial(io.BytesIO, journal_bytes(path))
    return lambda: path.open("rb")


def read_findings(
    path: Path, *, mend: bool = True, file: Callable[[], BinaryIO] | None = None
) -> Iterator[tuple[int, str, Finding]]:
    """Yield where each line of earlier findings begins, its key and its finding.

    Those of another version are passed over. So is half a last line, left by a kill. It is taken
    out of the file too, unless `mend` says that another process may be writing it.

    `file` opens it, where that was prepared. Raises ValueError where another line is none of ours:
    the file is of another program.
    """
    if not path.exists():
        return
    offset = 0
    with (file or _opener(path))() as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                values = parse_json(line)
                key, stored = str(values["key"]), values["finding"]
                finding = None if is_of_another_version(stored) else finding_from(stored)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path}, line {number} should be a finding of this version ({error}); "
                    "use another folder or delete the file"
                ) from error
            if finding is not None:
                yield offset, key, finding
            offset += len(line)
        else:
            return
    if mend:
        with path.open("r+b") as torn:
            torn.truncate(offset)
