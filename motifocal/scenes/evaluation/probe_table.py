"""Read and write probe scores: one CSV row per step and evaluation pair.

A learning curve is the file `probe.csv` in the folder of a training run. It needs no torch, so
comparisons of many runs read it at once.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from motifocal.files.atomic import write_text
from motifocal.files.csv_text import csv_text

PROBE_TABLE = "probe.csv"


@dataclass(frozen=True)
class ProbeRow:
    """The judgement of one pair at one step of training (0 for a model that has no steps).

    `candidates` is the number of true clips and the static clip together, so chance is its inverse.
    """

    step: int
    image_id: str
    action: int
    scenario: str
    kind: str
    held_out: bool
    candidates: int
    follows: bool
    static: bool
    margin: float


COLUMNS = tuple(field.name for field in fields(ProbeRow))


def to_csv(rows: Iterable[ProbeRow]) -> str:
    """Return the rows as CSV; booleans as 0 and 1, margins with four decimals."""
    return csv_text(COLUMNS, (
        (row.step, row.image_id, row.action, row.scenario, row.kind, int(row.held_out),
         row.candidates, int(row.follows), int(row.static), f"{row.margin:.4f}") for row in rows
    ))


def read_probe_table(path: Path) -> list[ProbeRow]:
    """Return the rows of a table, `.csv` or `.csv.gz`; none where there is no file.

    Raises:
        ValueError: the file is no table of probe scores.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
        reader = csv.reader(io.StringIO(text))
        if tuple(next(reader, ())) != COLUMNS:
            raise ValueError(f"the first line should be {','.join(COLUMNS)}")
        return [_row(cells) for cells in reader]
    except (ValueError, csv.Error, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is no table of probe scores: {error}") from error


def _row(cells: Sequence[str]) -> ProbeRow:
    if len(cells) != len(COLUMNS):
        raise ValueError(f"a row should have {len(COLUMNS)} cells, got {len(cells)}")
    step, image_id, action, scenario, kind, held_out, candidates, follows, static, margin = cells
    return ProbeRow(int(step), image_id, int(action), scenario, kind, held_out == "1",
                    int(candidates), follows == "1", static == "1", float(margin))


def add_to_table(path: Path, rows: Sequence[ProbeRow]) -> None:
    """Add the rows of one step to a run's table; rows of this step and of later ones go.

    A killed run takes the steps after its last checkpoint again, and so their probes.
    """
    before = [row for row in read_probe_table(path) if row.step < rows[0].step]
    write_text(path, to_csv([*before, *rows]))


def compressed(rows: Iterable[ProbeRow]) -> bytes:
    """Return the table as gzip, the same bytes for the same rows: what results are kept as."""
    return gzip.compress(to_csv(rows).encode("utf-8"), mtime=0)
