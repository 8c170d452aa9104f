"""Write scores as JSON, CSV, Markdown, LaTeX, and in VBench's format for one model's results.

A file is a function of the scores alone: no times, no places of the machine but the videos' own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, astuple
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np

from motifocal import __version__
from motifocal.bench.score.choice import EVAL_RESULTS
from motifocal.bench.score.run import Row, Scores
from motifocal.bench.score.tables import NO_CELL, Cell, Summary, to_latex, to_markdown
from motifocal.files.atomic import write_text
from motifocal.files.csv_text import csv_text
from motifocal.files.json_text import format_json, with_earlier_names
from motifocal.metrics import RESAMPLES

#: Columns whose text others wrote; names of models, images and files stay what they are.
FREE = ("scenario", "prompt", "marks")


def write_files(summary: Summary, output: Path) -> list[Path]:
    """Write all files but the plot into `output`, and return their paths."""
    scores = summary.scores
    texts = {"scores.json": to_json(summary), "scores.csv": to_csv(scores),
             "table.md": to_markdown(summary), "table.tex": to_latex(summary),
             "table.csv": to_table_csv(summary)}
    texts |= {row.name + EVAL_RESULTS: to_eval_results(row, scores) for row in scores.models}
    output.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(output / name, text)
    return [output / name for name in texts]


def to_eval_results(row: Row, scores: Scores) -> str:
    """Return one model's videos in VBench's form: {dimension: [mean, [{video_path,
    video_results}]]}.

    The mean is that of the videos listed, one by one; a number that there is not is left out.
    """
    content = {}
    for name in scores.measures:
        videos = [video for video in row.videos if not math.isnan(video.numbers[name])]
        if videos:
            content[name] = [fmean(video.numbers[name] for video in videos),
                             [{"video_path": video.path.as_posix(),
                               "video_results": video.numbers[name]} for video in videos]]
    return format_json(content)


def to_json(summary: Summary) -> str:
    """Return everything but the single videos as JSON."""
    scores = summary.scores
    content = {
        "title": scores.title,
        "marks": list(scores.marks),
        "failures": list(scores.failures),
        "control": scores.control,
        "seed": scores.seed,
        "interval": f"95 %, percentile bootstrap over images, {RESAMPLES} resamples",
        "versions": {"motifocal": __version__, "numpy": np.__version__, "opencv": cv2.__version__},
        "computed": dict(scores.computed),
        "measures": {name: asdict(measure) for name, measure in scores.measures.items()},
        "rows": [_row(row) | {"measures": _cells(summary.cells[row.name])} for row in scores.rows],
        "difference_to": scores.rows[0].name,
        "differences": {name: _cells(cells) for name, cells in summary.differences.items()},
    }
    # The earlier name stands beside the new one for one more release.
    return format_json(with_earlier_names(content, {"images": "pictures"}))


def _row(row: Row) -> dict[str, object]:
    return {"name": row.name, "kind": row.kind, "note": row.note, "videos": len(row.videos),
            "pairs": len({video.pair.stem for video in row.videos}),
            "images": len({video.pair.image_id for video in row.videos})}


def _cells(cells: Mapping[str, Cell]) -> dict[str, dict[str, float]]:
    return {name: {**asdict(cell.value), "pairs": cell.pairs, "images": cell.images}
            for name, cell in cells.items()}


def to_csv(scores: Scores) -> str:
    """Return a CSV with one line a video of every row, control rows too."""
    header = ["row", "kind", "scenario", "image_id", "prompt", "seed", "video", "frames",
              *scores.measures, "marks"]
    return csv_text(header, (
        [row.name, row.kind, video.pair.scenario, video.pair.image_id, video.pair.prompt,
         video.seed, video.path.name, video.frames,
         *(video.numbers[name] for name in scores.measures), "; ".join(scores.marks)]
        for row in scores.rows for video in row.videos
    ), free=FREE)


def to_table_csv(summary: Summary) -> str:
    """Return a CSV with one line a row and measure: mean, difference, and their intervals."""
    header = ["row", "kind", "measure", "pairs", "images", "mean", "low", "high",
              "difference", "difference_low", "difference_high", "difference_pairs", "marks",
              "pictures"]  # the earlier name of "images", for one more release
    lines = []
    for row in summary.scores.rows:
        for name, cell in summary.cells[row.name].items():
            other = summary.differences.get(row.name, {}).get(name, NO_CELL)
            lines.append([row.name, row.kind, name, cell.pairs, cell.images,
                          *astuple(cell.value), *astuple(other.value), other.pairs,
                          "; ".join(summary.scores.marks), cell.images])
    return csv_text(header, lines, free=FREE)
