"""Keep a table of the exported samples of each clip.

The table is JSON, a line for each sample: which file it is in, and which frames of which clip it is
of. A clip stands in it only when all of its samples are there. While a run goes on, a journal
beside the table gets a line for each clip, so that a kill loses none and nothing is written twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any

from motifocal.data.captions import CaptionedVideo
from motifocal.data.clip_files import HASHES, ClipHashes, HashRow
from motifocal.data.workers.items import WHOLE, Part, files_of_parts
from motifocal.files.atomic import write_text
from motifocal.files.json_lines import LineWriter, read_lines
from motifocal.files.json_text import parse_json_at
from motifocal.files.names import printable
from motifocal.files.parquet import columns_from, write_rows
from motifocal.files.remote import absolute

#: The key's earlier name, written beside it for one more release, and read in older tables.
EARLIER = {"moves": "mean_weight"}


@dataclass(frozen=True)
class SampleRow:
    """A sample in the table.

    `file` is relative to the folder; `indices`, `fps`, `height`, `width` and `resize` are those of
    its Selection; `mean_weight` is the mean of the weight over the sample's latents.
    """

    file: str
    clip: str
    sha256: str
    caption: str
    indices: tuple[int, ...]
    fps: float
    height: int
    width: int
    resize: str
    mean_weight: float


#: Of each column: its type in Arrow's words, its unit, and what it holds.
DESCRIBED = {
    "clip": ("string", "", "The clip's path below the folder, with slashes."),
    "file": ("string", "", "The sample's weight or mask, relative to the table."),
    "sha256": ("string", "", "SHA-256 of the clip's bytes, hexadecimal."),
    "caption": ("string", "", "What is written down for the clip."),
    "indices": ("list<int64>", "frame numbers", "The clip's frames that the trainer takes."),
    "fps": ("double", "frames/s", "Rate of the sample."),
    "height": ("int64", "pixels", "Height that the trainer brings the frames to."),
    "width": ("int64", "pixels", "Width that the trainer brings the frames to."),
    "resize": ("string", "", "How it does so: crop, stretch or pad."),
    "mean_weight": ("double", "0 to 1", "Mean of the weight over the sample's latents."),
    "reason": ("string", "", "Why the clip has no sample; null where it has."),
}  # fmt: skip


def check_names(clips: Iterable[CaptionedVideo]) -> None:
    """Raise ValueError where two clips would write to one file, as a.mp4 and a.mov would."""
    taken: dict[str, str] = {}
    for clip in clips:
        other = taken.setdefault(clip.stem.casefold(), clip.name)
        if other != clip.name:
            raise ValueError(
                f"{other} and {clip.name} would have masks of one name; rename one of them"
            )


def read_table(path: Path) -> dict[str, list[SampleRow]]:
    """Read the rows of each clip; none where there is no table. ValueError for another table."""
    rows: dict[str, list[SampleRow]] = {}
    if not path.exists():
        return rows
    # Not splitlines, which ends a line in the middle of a caption with U+2028 in it.
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for number, line in enumerate(lines if lines != [""] else [], start=1):
        place = f"{path}, line {number}"
        row = _row_from(parse_json_at(place, line), place)
        rows.setdefault(row.clip, []).append(row)
    return rows


def _row_from(values: Any, place: str) -> SampleRow:
    names = {field.name for field in fields(SampleRow)}
    known = (names, names | {*EARLIER}, names - {*EARLIER.values()} | {*EARLIER})
    if not isinstance(values, dict) or set(values) not in known:
        raise ValueError(f"{place} should have the keys {sorted(names)}")
    values |= {name: values.pop(old) for old, name in EARLIER.items() if old in values}
    row = SampleRow(**{**values, "indices": tuple(values["indices"])})
    # Files of a clip that has changed are deleted, so no row may name one elsewhere.
    if Path(row.file).is_absolute() or ".." in Path(row.file).parts:
        raise ValueError(f"{place} should name a file below, got {row.file!r}")
    return row


class ExportTable:
    """The rows and hashes of all clips that are done, from earlier runs and this one.

    Of a part of the clips the files are its own; the whole takes in those of all parts, and
    removes them once its own are written.
    """

    def __init__(self, folder: Path, name: str, part: Part = WHOLE) -> None:
        self.path, self.part = folder / part.file(name), part
        self.hashes = ClipHashes(folder / part.file(HASHES))
        tables = [folder / name]
        tables += sorted(folder.glob(files_of_parts(name))) if part == WHOLE else [self.path]
        self._merged = [table for table in tables if table != self.path and part == WHOLE]
        self.rows: dict[str, list[SampleRow]] = {}
        for table in dict.fromkeys(tables):
            self.rows |= read_table(table)
            self._replay(_journal(table))
        for path in folder.glob(files_of_parts(HASHES)) if part == WHOLE else ():
            self._merged.append(path)
            self.hashes.take_over(ClipHashes(path))

    def _replay(self, journal: Path) -> None:
        for line in read_lines(journal) if journal.exists() else ():
            clip, rows = line.get("clip"), line.get("rows")
            if not isinstance(clip, str) or not isinstance(rows, list):
                raise ValueError(f"{journal} should be of an export; delete it")
            self.rows[clip] = [_row_from(row, str(journal)) for row in rows]
            if line.get("hash"):
                self.hashes.learn(line["path"], line["hash"])

    @contextmanager
    def journal(self) -> Iterator[LineWriter]:
        """Open the journal, and write the table when the block is left, however that is."""
        try:
            with LineWriter.open(_journal(self.path)) as writer:
                yield writer
        finally:
            self._save()

    def add(
        self, journal: LineWriter, clip: CaptionedVideo, rows: list[SampleRow], hashed: HashRow
    ) -> None:
        """Keep a clip that is done."""
        if self.rows.get(clip.name) == rows and self.hashes.known(clip.path) == hashed:
            return
        journal.add({"clip": clip.name, "rows": [asdict(row) for row in rows],
                     "path": str(absolute(clip.path)), "hash": hashed})  # fmt: skip
        self.rows[clip.name] = rows
        self.hashes.learn(clip.path, hashed)

    def forget(self, journal: LineWriter, name: str) -> None:
        """Forget a clip that cannot be used, or is not there, any more."""
        if self.rows.pop(name, None) is not None:
            journal.add({"clip": name, "rows": []})

    def _save(self) -> None:
        rows = {clip: of_clip for clip, of_clip in self.rows.items()
                if of_clip and self.part.holds(clip)}
        write_table(self.path, rows)
        self.hashes.save()
        for path in (self.path, *self._merged):
            _journal(path).unlink(missing_ok=True)
        for path in self._merged:
            path.unlink(missing_ok=True)


def _journal(table: Path) -> Path:
    return table.with_name(f".{table.stem}.journal")


def write_table(path: Path, rows: Mapping[str, Iterable[SampleRow]]) -> None:
    """Write the table whole or not at all, clips in the order of their names."""
    lines = [
        json.dumps(asdict(row) | {old: getattr(row, name) for old, name in EARLIER.items()},
                   ensure_ascii=False) + "\n"
        for clip in sorted(rows)
        for row in rows[clip]
    ]  # fmt: skip
    write_text(path, "".join(lines))


def write_described(
    path: Path, rows: Mapping[str, Iterable[SampleRow]], left_out: Iterable[tuple[str, str]],
    about: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write a row for each sample, with what each column holds, and one for each clip without any.
    """
    columns = columns_from({name: {"kind": kind, "unit": unit, "definition": definition}
                            for name, (kind, unit, definition) in DESCRIBED.items()})
    samples = (asdict(row) | {"indices": list(row.indices)}
               for clip in sorted(rows) for row in rows[clip])
    refused = ({"clip": printable(clip), "reason": printable(reason)}
               for clip, reason in left_out)
    write_rows(path, columns, chain(samples, refused), about)


def write_clip_captions(folder: Path, rows: Mapping[str, Iterable[SampleRow]]) -> None:
    """Write metadata.jsonl for the clips beside the masks; without a caption the text is empty."""
    lines = [
        json.dumps({"file_name": Path(row.file).relative_to("masks").as_posix(),
                    "text": row.caption}, ensure_ascii=False) + "\n"
        for clip in sorted(rows)
        for row in rows[clip]
    ]  # fmt: skip
    write_text(folder / "metadata.jsonl", "".join(lines))
