"""Heatmaps by pixels and by regions of drawn clips, by scenario, on seeds of one's own choice.

    .venv/bin/python scripts/regions_study.py --seeds 7000,8000,9000

prints the table of docs/heatmap.md on seeds that nothing was tuned on: IoU with the true mask under
a resting and under a moving camera, means, and CPU time of a heatmap.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np
from heatmap_study import Score, markdown, mean, score
from sources_study import Trio, trios

from motifocal.motion.heatmap import clip_heatmap
from motifocal.motion.settings import DEFAULT_SETTINGS, PIXEL_SETTINGS

# Title of a column -> whether the camera moves, and the settings of the heatmap.
COLUMNS = {
    "pixels": (False, PIXEL_SETTINGS),
    "regions": (False, DEFAULT_SETTINGS),
    "camera moves: pixels": (True, PIXEL_SETTINGS),
    "camera moves: regions": (True, DEFAULT_SETTINGS),
    "pixels, `--camera`": (True, replace(PIXEL_SETTINGS, camera=True)),
    "regions, `--camera`": (True, replace(DEFAULT_SETTINGS, camera=True)),
}
Scores = dict[str, dict[str, list[Score]]]


def scored(trio: Trio, scores: Scores, seconds: dict[str, list[float]]) -> None:
    """Add the scores of a sentence under both cameras to its scenario's, and the CPU seconds."""
    for column, (moves, settings) in COLUMNS.items():
        case = trio.camera if moves else trio.rest
        began = time.process_time()
        heatmap = clip_heatmap(case.frames, settings, workers=1)
        seconds[column].append(time.process_time() - began)
        scores[case.clip.scenario][column].append(score(heatmap, case.truth))


def table(scores: Scores, seconds: dict[str, list[float]]) -> str:
    """Return IoU by scenario, then IoU, precision, recall and CPU time over all clips."""
    rows = [[scenario, *(f"{mean(of[column])['IoU']:.2f}" for column in COLUMNS)]
            for scenario, of in sorted(scores.items())]  # fmt: skip
    whole = {column: mean([one for of in scores.values() for one in of[column]])
             for column in COLUMNS}  # fmt: skip
    for name in ("IoU", "precision", "recall"):
        label = "mean" if name == "IoU" else f"mean {name}"
        rows.append([label, *(f"{whole[column][name]:.3f}" for column in COLUMNS)])
    rows.append(["CPU per clip", *(f"{1000 * np.mean(seconds[column]):.0f} ms"
                                   for column in COLUMNS)])  # fmt: skip
    return markdown(["", *COLUMNS], rows)


def whole_numbers(_: click.Context, __: click.Parameter, value: str) -> Sequence[int]:
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"should be numbers with commas, got {value!r}") from None


@click.command()
@click.option("--seeds", default="7000,8000,9000", show_default=True, callback=whole_numbers,
              help="Of the stages; clips of all are put together.")
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True,
              help="Clips of each scenario and seed, each with the next of its sentences.")
def main(seeds: Sequence[int], rounds: int) -> None:
    """Print IoU by scenario of heatmaps by pixels and by regions."""
    cv2.setNumThreads(1)
    scores: Scores = defaultdict(lambda: defaultdict(list))
    seconds: dict[str, list[float]] = defaultdict(list)
    for seed in seeds:
        with TemporaryDirectory() as folder:
            for trio in trios(rounds, seed, Path(folder)):
                scored(trio, scores, seconds)
    print(table(scores, seconds), flush=True)


if __name__ == "__main__":
    main()
