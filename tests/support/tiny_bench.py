"""A benchmark of a few drawn pictures and a model that draws its videos, in milliseconds."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from motifocal.bench.ingest import find_videos, ingest, with_videos
from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results
from motifocal.generate.model import Format, Job
from motifocal.media.picture import Pixels
from motifocal.media.video import read_image, resize_crop, write_image, write_video
from motifocal.models.text_limit import TextLimit

SIDE, FRAMES, FPS = 32, 5, 8.0
FORMAT = Format(FRAMES, SIDE, SIDE, FPS)
SENTENCES = {"ball_1": ("the ball rises", "the ball falls, slowly!"),
             "ball_1_b": ("the ball rises",),
             "kite": ("a kite flies in", "it's still")}


def textured(seed: int, height: int = SIDE, width: int = SIDE) -> Pixels:
    """A picture unlike those of other seeds: blurred noise."""
    import cv2

    noise = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def write_benchmark(folder: Path, sentences: Mapping[str, Sequence[str]] = SENTENCES) -> Path:
    """pairs.csv and images/ of `sentences`: image id -> its sentences."""
    (folder / "images").mkdir(parents=True)
    with (folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["scenario", "image_id", "prompt"])
        for seed, (image_id, prompts) in enumerate(sentences.items()):
            write_image(folder / "images" / f"{image_id}.png", textured(seed, 40, 48))
            writer.writerows([image_id.split("_")[0], image_id, prompt] for prompt in prompts)
    return folder


def moving(picture: Pixels, prompt: str, seed: int, frames: int = FRAMES) -> Pixels:
    """The picture, then the picture shifted ever more, (frames, SIDE, SIDE, 3)."""
    step = 1 + (len(prompt) + seed) % 3
    shown = resize_crop(picture, SIDE, SIDE)
    return np.stack([np.roll(shown, index * step, axis=1) for index in range(frames)])


@dataclass
class DrawingModel:
    """A model that shifts pictures. `trouble` may raise, or give a reason why a job fails."""

    name: str = "drawing"
    settings: Mapping[str, Any] = field(default_factory=lambda: {"strength": 3})
    format: Format | None = FORMAT
    text_limit: TextLimit | None = None
    trouble: Callable[[Job], str | None] = lambda job: None
    calls: list[tuple[tuple[str, int], ...]] = field(default_factory=list)

    def animate(self, jobs: Sequence[Job]) -> list[str | None]:
        self.calls.append(tuple((job.output.name, job.seed) for job in jobs))
        reasons = []
        for job in jobs:
            reason = self.trouble(job)
            if reason is None:
                write_video(job.output, moving(read_image(job.image), job.prompt, job.seed), FPS)
            reasons.append(reason)
        return reasons


def take(bench: Path, finished: Path, out: Path, partial: bool = False) -> Results:
    """Take the videos of the folder `finished` in as results of the benchmark `bench`."""
    benchmark = read_benchmark(bench, own_pairs=True)
    found = find_videos(finished, benchmark.pairs)
    assert found.unmatched == ()
    if partial:
        benchmark = with_videos(benchmark, found)
    results = Results(out, "theirs", {}, benchmark, found.seeds(), None)
    list(ingest(results, found))
    return results


def drawn_results(bench: Path, folder: Path, model: DrawingModel, seeds: int = 2) -> Results:
    """An empty folder of results of a model on a benchmark folder, with seeds from 0 on."""
    benchmark = read_benchmark(bench, own_pairs=True)
    return Results(folder, model.name, model.settings, benchmark, tuple(range(seeds)), model.format)
