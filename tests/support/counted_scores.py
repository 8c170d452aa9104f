"""Results of drawing models, and measures that count what they compute."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tiny_bench import FPS, DrawingModel, moving

from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results, open_results
from motifocal.bench.run import run
from motifocal.bench.score.clip import ClipFeatures, Learned, Tools
from motifocal.bench.score.measures import Measure
from motifocal.bench.score.run import Row, Scores
from motifocal.generate.model import Job
from motifocal.media.picture import Pixels
from motifocal.media.video import Clip, read_image, read_video, write_video
from motifocal.motion.flow import Flow, estimate_flow


def cheap(frames: Pixels, picture: Pixels, flow: Flow, fps: float) -> dict[str, float]:
    """Numbers that tell frames, their order, the picture and the flow."""
    values = frames.astype(float)
    steps = np.abs(np.diff(values, axis=0)).mean(axis=(1, 2, 3))
    return {
        "fidelity": -float(np.abs(values - picture).mean()),
        "change": float(steps @ np.arange(1, len(steps) + 1)) / fps,
        "flow": float(np.abs(flow).mean()),
        "undefined": float("nan") if frames[0, 0, 0, 0] % 2 else 1.0,
    }


TABLE = {
    name: Measure(name=name, unit="", better="higher", definition=name, source="the tests",
                  blind_spot="most things", still_wins=False)
    for name in ("fidelity", "change", "flow", "undefined")
}


@dataclass
class Words(Learned):
    """Stands for CLIP: a vector of the frames, compared with the letters of a sentence."""

    name: str = "words"
    source: str = "nowhere"
    fingerprint: str = "1"
    measures: Mapping[str, Measure] = field(
        default_factory=lambda: {"mean": TABLE["flow"], "text": TABLE["flow"]}
    )
    looks: int = 0

    def embed(self, frames: Pixels, picture: Pixels,
              orders: Sequence[Sequence[int]]) -> list[ClipFeatures]:
        self.looks += 1
        mean = float(frames.mean())
        return [ClipFeatures({"mean": mean}, [mean, float(len(order))]) for order in orders]

    def score_text(self, vector: Sequence[float], sentence: str) -> dict[str, float]:
        return {"text": vector[0] * len(sentence)}


@dataclass
class Counted:
    """Tools that count what they are asked for, thread by thread safe."""

    decoded: Counter[str] = field(default_factory=Counter)
    estimated: Counter[bytes] = field(default_factory=Counter)
    measured: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tools(self, **changed: object) -> Tools:
        tools = Tools(self.decode, self.flow, self.measure, TABLE, "1")
        return replace(tools, **changed)  # type: ignore[arg-type]

    def decode(self, path: Path) -> Clip:
        with self.lock:
            self.decoded[path.as_posix()] += 1
        return read_video(path)

    def flow(self, frames: Pixels) -> Flow:
        with self.lock:
            self.estimated[frames.tobytes()] += 1
        return estimate_flow(frames, workers=1)

    def measure(self, frames: Pixels, picture: Pixels, flow: Flow, fps: float) -> dict[str, float]:
        with self.lock:
            self.measured += 1
        return cheap(frames, picture, flow, fps)

    @property
    def all(self) -> int:
        return sum(self.decoded.values()) + sum(self.estimated.values()) + self.measured


def row(scores: Scores, name: str) -> Row:
    (found,) = [row for row in scores.rows if row.name == name]
    return found


def numbers(row: Row) -> dict[tuple[str, int], dict[str, float]]:
    return {(video.pair.stem, video.seed): video.numbers for video in row.videos}


class StampingModel(DrawingModel):
    """A model that leaves its mark, so that no two of its videos are the same."""

    def animate(self, jobs: Sequence[Job]) -> list[str | None]:
        for job in jobs:
            clip = moving(read_image(job.image), job.prompt, job.seed)
            colour = np.random.default_rng([*job.output.name.encode(), *self.name.encode()])
            clip[1:, 8:20, 8:20] = colour.integers(0, 256, 3)
            write_video(job.output, clip, FPS)
        return [None] * len(jobs)


def make(
    bench: Path, folder: Path, model: DrawingModel, seeds: tuple[int, ...] = (0,)
) -> Results:
    name = model.name
    benchmark = read_benchmark(bench, own_pairs=True)
    results = Results(folder / name, name, model.settings, benchmark, seeds, model.format)
    assert all(outcome.failure is None for outcome in run(model, results))
    return open_results(results.folder)
