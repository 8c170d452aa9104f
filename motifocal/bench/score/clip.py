"""A video file becomes its numbers, and those of its shuffled self; what was computed is kept.

Letters: F frames, H W pixels. Every line of the kept file names what it was computed from by
hashes, so that a changed video, picture, measure or learned model is computed anew.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from motifocal.bench.results import append_line
from motifocal.bench.run import sha256_of
from motifocal.bench.score import fidelity, measures, motion
from motifocal.bench.score import temporal as steadiness
from motifocal.bench.score.controls import shuffle_order, still
from motifocal.bench.score.measures import MEASURES, Measure, measure
from motifocal.files.json_text import parse_json
from motifocal.media import codec, video
from motifocal.media.arrays import Frames
from motifocal.media.picture import check_file
from motifocal.media.video import Clip, VideoError, read_image, read_video
from motifocal.motion import camera, flow
from motifocal.motion.flow import Flow, estimate_flow

if TYPE_CHECKING:
    from motifocal.models.text_limit import TextLimit

Numbers = dict[str, float]
Line = dict[str, Any]
OWN, SHUFFLED = "own", "shuffled"
WEIGHT_FREE = "measures"
_COMPUTES = (measures, fidelity, motion, steadiness, camera, flow, codec, video)


@dataclass(frozen=True)
class Looked:
    """What a learned model saw in a clip: its numbers, and what it compares sentences with."""

    numbers: Numbers
    vector: Sequence[float] = ()


class Learned(Protocol):
    """Measures that need weights; see `learned.py`. `fingerprint` names the weights.

    `text_limit` is how much it reads of a sentence, None where it reads none.
    """

    name: str
    source: str
    fingerprint: str
    measures: Mapping[str, Measure]
    text_limit: TextLimit | None = None

    def look(self, frames: Frames, picture: npt.NDArray[np.uint8],
             orders: Sequence[Sequence[int]]) -> list[Looked]:
        """The clip played in each of the orders: every frame is looked at once."""
        ...

    def read(self, vector: Sequence[float], sentence: str) -> Numbers:
        """What depends on the sentence too, from the vector of a `Looked`."""
        ...


def weight_free_version() -> str:
    """Names the code that computes the weight-free numbers: hash of its sources and libraries."""
    digest = hashlib.sha256(f"{cv2.__version__} {np.__version__} {version('av')}".encode())
    for module in _COMPUTES:
        digest.update(inspect.getsource(module).encode())
    return digest.hexdigest()


def _flow(frames: Frames) -> Flow:
    return estimate_flow(frames, workers=1)  # the clips go to threads, not the pairs of frames


@dataclass(frozen=True)
class Tools:
    """What scoring computes with."""

    decode: Callable[[Path], Clip] = read_video
    flow: Callable[[Frames], Flow] = _flow
    measure: Callable[[Frames, npt.NDArray[np.uint8], Flow, float], Mapping[str, float]] = measure
    measures: Mapping[str, Measure] = field(default_factory=lambda: MEASURES)
    version: str = field(default_factory=weight_free_version)
    learned: tuple[Learned, ...] = ()


@dataclass(frozen=True)
class Job:
    """A clip to put into numbers: a video, or where that is None its picture standing still.

    `shuffle` asks for the shuffled video too and holds what decides the order: a seed and a name.
    `frames` and `fps` are those of a still clip.
    """

    picture: Path
    video: Path | None
    shuffle: tuple[int, str] | None = None
    frames: int = 0
    fps: float = 0.0


@dataclass(frozen=True)
class Taken:
    """The numbers of one clip, by measure; `vectors` by learned model. Empty: no such clip."""

    frames: int
    fps: float
    numbers: Numbers
    vectors: Mapping[str, Sequence[float]]


class Kept:
    """The lines of earlier runs by key; a line that a crash tore in two is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, Line] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        for row in text.split("\n"):
            try:
                line = parse_json(row or "null")
            except ValueError:  # torn; it is computed again
                continue
            if isinstance(line, dict) and isinstance(line.get("key"), str):
                self.lines[line["key"]] = line

    def add(self, line: Line) -> None:
        append_line(self.path, line)
        self.lines[line["key"]] = line


def compute(
    jobs: Iterable[Job], tools: Tools, kept: Kept, workers: int
) -> Iterator[tuple[Job, dict[str, Taken] | str]]:
    """Every job, as it gets done, with its numbers by kind of clip, or why there are none.

    Clips go to `workers` threads; each is decoded once and let go before the thread takes the
    next, so that memory holds as many clips as there are workers. New numbers are kept at once.
    """
    pool = ThreadPoolExecutor(workers)
    try:
        futures = {pool.submit(_work, job, tools, kept.lines): job for job in jobs}
        for future in as_completed(futures):
            outcome = future.result()
            if isinstance(outcome, str):
                yield futures[future], outcome
                continue
            for line in outcome.values():
                if line["key"] not in kept.lines:
                    kept.add(line)
            yield futures[future], _taken(outcome)
    finally:
        pool.shutdown(cancel_futures=True)


def _work(job: Job, tools: Tools, held: Mapping[str, Line]) -> dict[tuple[str, str], Line] | str:
    """The line of every (kind of clip, what computes it), or why the files cannot be used."""
    try:
        keys = _keys(job, tools)
        lines = {slot: held[key] for slot, key in keys.items() if key in held}
        lacking = [slot for slot in keys if slot not in lines]
        if lacking:
            for slot, line in _lines(job, tools, lacking).items():
                lines[slot] = {"key": keys[slot], **line}
    except VideoError as error:
        return str(error)
    return lines


def _keys(job: Job, tools: Tools) -> dict[tuple[str, str], str]:
    for path in (job.video, job.picture):
        if path is not None:
            check_file(path)
    what: list[object] = [sha256_of(job.picture)]
    what += [job.frames, job.fps] if job.video is None else [sha256_of(job.video)]
    kinds: dict[str, list[object]] = {OWN: []}
    if job.shuffle is not None:
        kinds[SHUFFLED] = list(job.shuffle)
    makers = {WEIGHT_FREE: tools.version} | {each.name: each.fingerprint for each in tools.learned}
    return {(kind, by): hashlib.sha256(json.dumps([kind, how, by, which, what]).encode())
            .hexdigest() for kind, how in kinds.items() for by, which in makers.items()}


def _lines(
    job: Job, tools: Tools, lacking: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Line]:
    """Decode, and compute what is lacking, without the keys."""
    picture = read_image(job.picture)
    if job.video is None:
        clip = Clip(still(picture, job.frames), job.fps, np.arange(job.frames) / job.fps)
    else:
        clip = tools.decode(job.video)
        _check(clip, picture, job.video)
    orders = {OWN: tuple(range(len(clip.frames)))}
    if job.shuffle is not None:
        orders[SHUFFLED] = shuffle_order(len(clip.frames), *job.shuffle) or ()
    about: Line = {"file": (job.video or job.picture).name, "frames": len(clip.frames),
                   "fps": clip.fps}
    found: dict[tuple[str, str], Looked] = {slot: Looked({}) for slot in lacking}
    for kind in (kind for kind, by in lacking if by == WEIGHT_FREE and orders[kind]):
        frames = clip.frames if kind == OWN else clip.frames[list(orders[kind])]
        moved = tools.flow(frames) if job.video else _no_flow(frames)
        try:
            numbers = tools.measure(frames, picture, moved, clip.fps)
        except ValueError as error:
            raise ValueError(f"{job.video or job.picture}: {error}") from error
        found[kind, WEIGHT_FREE] = Looked(_checked(numbers, tools.measures))
    for each in tools.learned:
        kinds = [kind for kind, by in lacking if by == each.name and orders[kind]]
        looks = each.look(clip.frames, picture, [orders[kind] for kind in kinds]) if kinds else []
        found |= {(kind, each.name): look for kind, look in zip(kinds, looks, strict=True)}
    return {slot: {"kind": slot[0], "by": slot[1], **about,
                   "numbers": {name: None if math.isnan(number) else number
                               for name, number in look.numbers.items()},
                   "vector": list(look.vector)} for slot, look in found.items()}


def _check(clip: Clip, picture: npt.NDArray[np.uint8], path: Path) -> None:
    count, *size = clip.frames.shape
    if tuple(size) != picture.shape:
        sizes = "{}x{}, got {}x{}".format(*picture.shape[:2], *size[:2])
        raise VideoError(f"{path}: should be of its picture's size, {sizes}")
    if count < 2:
        raise VideoError(f"{path}: should hold at least 2 frames, got {count}")


def _no_flow(frames: Frames) -> Flow:
    """What a still clip's flow is, without estimating it."""
    return np.zeros((len(frames) - 1, 2, *frames.shape[1:3]), np.float32)


def _checked(numbers: Mapping[str, float], table: Mapping[str, Measure]) -> Numbers:
    if set(numbers) != set(table) or any(math.isinf(number) for number in numbers.values()):
        raise ValueError(f"measures should be finite or nan, {sorted(table)}, got {dict(numbers)}")
    return {name: float(numbers[name]) for name in table}


def _taken(lines: Mapping[tuple[str, str], Line]) -> dict[str, Taken]:
    """Lines by kind of clip; a kind without numbers (nothing to shuffle) is left out."""
    found = {}
    for kind in (OWN, SHUFFLED):
        of_kind = {by: line for (other, by), line in lines.items() if other == kind}
        if WEIGHT_FREE in of_kind and of_kind[WEIGHT_FREE]["numbers"]:
            numbers = {name: math.nan if number is None else float(number)
                       for line in of_kind.values() for name, number in line["numbers"].items()}
            first = of_kind[WEIGHT_FREE]
            found[kind] = Taken(first["frames"], first["fps"], numbers,
                                {by: line["vector"] for by, line in of_kind.items()})
    return found
