"""Make a table of clips, a row each, and select clips by percentiles of its columns.

Percentiles are those of all clips without an error that have a value, so this is a second pass:
what is much or little motion is only known once every clip was looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motifocal.files.parquet import columns_from, write_rows
from motifocal.files.toml_text import parse_toml
from motifocal.inspection.finding import Finding
from motifocal.inspection.run import InspectedClip

#: As `columns.toml` has them, in the order of the table.
COLUMNS = columns_from(parse_toml(
    Path(__file__).with_name("columns.toml").read_text(encoding="utf-8")))
NUMBERS = tuple(column.name for column in COLUMNS if column.kind in ("double", "int64"))


@dataclass(frozen=True)
class Between:
    """Keep clips whose `column` is from the `low`th to the `high`th percentile of all."""

    column: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.column not in NUMBERS:
            raise ValueError(f"the column should be one of {', '.join(NUMBERS)}, got {self.column}")
        if not 0 <= self.low < self.high <= 100:
            raise ValueError("percentiles should be 0 <= low < high <= 100, got "
                             f"{self.low:g}-{self.high:g}")

    def values(self, rows: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
        """Return the values at these percentiles; None where no clip has any."""
        known = [row[self.column] for row in rows
                 if row["level"] != "error" and row[self.column] is not None]
        if not known:
            return None
        low, high = np.percentile(np.array(known, float), [self.low, self.high])
        return float(low), float(high)


def write_clip_table(
    path: Path, report: Mapping[str, Any], inspected: Mapping[int, InspectedClip],
    between: Sequence[Between] = (),
) -> int:  # fmt: skip
    """Write a row for each clip of a report, in its order; return how many are selected."""
    rows = list(clip_rows(report, inspected))
    limits = [(limit, limit.values(rows)) for limit in between]
    for row in rows:
        row["selected"] = row["level"] != "error" and all(
            values is not None and row[limit.column] is not None
            and values[0] <= row[limit.column] <= values[1] for limit, values in limits)
    thresholds = [{"column": limit.column, "percentiles": [limit.low, limit.high],
                   "values": None if values is None else list(values)} for limit, values in limits]
    write_rows(path, COLUMNS, rows, {"settings": report["settings"], "between": thresholds})
    return sum(row["selected"] for row in rows)


def clip_rows(
    report: Mapping[str, Any], inspected: Mapping[int, InspectedClip]
) -> Iterator[dict[str, Any]]:
    """Yield what the table says of each clip, without `selected`."""
    levels = {code: fault["level"] for code, fault in report["faults"].items()}
    for place, clip in enumerate(report["clips"]):
        seen = inspected[place].finding if place in inspected else None
        seen = seen or Finding()
        errors = [fault["words"] for fault in clip["faults"] if levels[fault["code"]] == "error"]
        yield {
            **{name: clip[name] for name in
               ("name", "level", "caption", "bytes", "width", "height", "fps", "frames", "seconds",
                "moving_fraction", "camera", "cuts", "duplicate_of")},
            "faults": [fault["code"] for fault in clip["faults"]],
            "reason": "; ".join(errors) or None,
            "sha256": seen.content,
            "flow_mean": seen.flow_mean, "flow_p95": seen.flow_p95,
            "own_mean": seen.own_mean, "own_p95": seen.own_p95,
            "samples": seen.sample_count, "trained_frames": seen.trained_frames,
        }  # fmt: skip
