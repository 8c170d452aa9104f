"""Heatmaps by pixels and by regions of drawn clips, by scenario, on seeds of one's own choice.

    .venv/bin/python scripts/regions_study.py --seeds 7000,8000,9000 --videos clips/

prints the tables of docs/heatmap.md on seeds that nothing was tuned on: IoU with the true mask,
under a resting and a moving camera, means, and CPU time of a heatmap; then the same where only
colours change in place, and how much of generated clips moves.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np
from heatmap_study import Score, displaces, markdown, mean, score
from sources_study import Case, Trio, filmed, trios

from motifocal.media.video import list_videos, read_video
from motifocal.motion.heatmap import clip_heatmap, moving_fraction
from motifocal.motion.settings import DEFAULT_SETTINGS, PIXEL_SETTINGS
from motifocal.scenes.stage import SCENARIOS, make_stage

# Title of a column -> whether the camera moves, and the settings of the heatmap.
COLUMNS = {
    "pixels": (False, PIXEL_SETTINGS),
    "regions": (False, DEFAULT_SETTINGS),
    "camera moves: pixels": (True, PIXEL_SETTINGS),
    "camera moves: regions": (True, DEFAULT_SETTINGS),
    "pixels, `--camera`": (True, replace(PIXEL_SETTINGS, camera=True)),
    "regions, `--camera`": (True, replace(DEFAULT_SETTINGS, camera=True)),
}
# Where only colours change.
CHANGES = {
    f"{name}{f', change {change:g}' if change else ''}": replace(settings, change=change)
    for name, settings in (("pixels", PIXEL_SETTINGS), ("regions", DEFAULT_SETTINGS))
    for change in (0.0, 12.0)
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


def recoloured(seeds: Sequence[int], folder: Path) -> Iterator[Case]:
    """Yield a clip of each sentence that only changes colours in place."""
    for seed, name in product(seeds, sorted(SCENARIOS)):
        stage = make_stage(name, "eval", seed)
        for number, action in enumerate(stage.actions):
            if not displaces(stage, action):
                yield filmed(folder / f"{seed}-{name}-{number}.mp4", stage, action, seed + number)


def change_table(clips: Sequence[Case], videos: Sequence[Path]) -> str:
    """Return IoU, precision and recall where colours change, and what moves of generated clips."""
    shares: dict[str, list[float]] = defaultdict(list)
    for frames in (read_video(video).frames for video in videos):
        for name, settings in CHANGES.items():
            shares[name].append(moving_fraction(clip_heatmap(frames, settings, workers=1)))
    rows = []
    for name, settings in CHANGES.items():
        scores = mean([score(clip_heatmap(clip.frames, settings, workers=1), clip.truth)
                       for clip in clips])  # fmt: skip
        rows.append([name, *(f"{scores[key]:.2f}" for key in ("IoU", "precision", "recall")),
                     f"{np.mean(shares[name]):.1%}" if videos else ""])  # fmt: skip
    return markdown(["", "IoU", "precision", "recall", "generated clips: moving"], rows)


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
@click.option("--videos", type=click.Path(exists=True, path_type=Path, file_okay=False),
              help="Real clips, of which the moving fraction is printed.")
def main(seeds: Sequence[int], rounds: int, videos: Path | None) -> None:
    """Print IoU by scenario of heatmaps by pixels and by regions."""
    cv2.setNumThreads(1)
    scores: Scores = defaultdict(lambda: defaultdict(list))
    seconds: dict[str, list[float]] = defaultdict(list)
    for seed in seeds:
        with TemporaryDirectory() as folder:
            for trio in trios(rounds, seed, Path(folder)):
                scored(trio, scores, seconds)
    print(table(scores, seconds), flush=True)
    with TemporaryDirectory() as folder:
        clips = list(recoloured(seeds, Path(folder)))
        generated = list_videos(videos) if videos else []
        print(f"\n### {len(clips)} clips in which only colours change, "
              f"{len(generated)} generated clips\n\n" + change_table(clips, generated))  # fmt: skip


if __name__ == "__main__":
    main()
