"""Keep a table of the samples that were exported of each clip.

The table is JSON, a line for each sample: which file it is in, and which frames of which clip it is
of. A clip stands in it only when all of its samples are there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from motifocal.data.captions import CaptionedVideo
from motifocal.files.atomic import write_text
from motifocal.files.json_text import parse_json

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
    names = {field.name for field in fields(SampleRow)}
    known = (names, names | {*EARLIER}, names - {*EARLIER.values()} | {*EARLIER})
    # Not splitlines, which ends a line in the middle of a caption with U+2028 in it.
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for number, line in enumerate(lines if lines != [""] else [], start=1):
        values = parse_json(line)
        if not isinstance(values, dict) or set(values) not in known:
            raise ValueError(f"{path}, line {number} should have the keys {sorted(names)}")
        values |= {name: values.pop(old) for old, name in EARLIER.items() if old in values}
        row = SampleRow(**{**values, "indices": tuple(values["indices"])})
        # Files of a clip that has changed are deleted, so no row may name one elsewhere.
        if Path(row.file).is_absolute() or ".." in Path(row.file).parts:
            raise ValueError(f"{path}, line {number} should name a file below, got {row.file!r}")
        rows.setdefault(row.clip, []).append(row)
    return rows


def write_table(path: Path, rows: Mapping[str, Iterable[SampleRow]]) -> None:
    """Write the table whole or not at all, clips in the order of their names."""
    lines = [
        json.dumps(asdict(row) | {old: getattr(row, name) for old, name in EARLIER.items()},
                   ensure_ascii=False) + "\n"
        for clip in sorted(rows)
        for row in rows[clip]
    ]  # fmt: skip
    write_text(path, "".join(lines))


def write_clip_captions(folder: Path, rows: Mapping[str, Iterable[SampleRow]]) -> None:
    """Write metadata.jsonl for the clips beside the masks; without a caption the text is empty."""
    lines = [
        json.dumps({"file_name": Path(row.file).relative_to("masks").as_posix(),
                    "text": row.caption}, ensure_ascii=False) + "\n"
        for clip in sorted(rows)
        for row in rows[clip]
    ]  # fmt: skip
    write_text(folder / "metadata.jsonl", "".join(lines))
