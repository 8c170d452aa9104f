"""Compute the scores of a video and of its shuffled frames, and store them for later runs.

Letters: F frames, H W pixels. Every line of the kept file names what it was computed from by
hashes, so that a changed video, image, measure or learned model is computed anew.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from motifocal import metrics
from motifocal.bench.score import controls, fidelity, measures, motion, temporal
from motifocal.bench.score.controls import shuffle_order, still
from motifocal.bench.score.measures import MEASURES, Measure, measure
from motifocal.data.workers.items import Workers
from motifocal.files.atomic import sha256_of
from motifocal.files.json_lines import append_line, read_lines
from motifocal.media import (
    codec,
    file_kind,
    frame_pixels,
    frame_times,
    hdr,
    picture,
    png_chunks,
    pyav_versions,
    video,
)
from motifocal.media.arrays import Frames
from motifocal.media.picture import check_file
from motifocal.media.video import Clip, VideoError, read_image, read_video
from motifocal.motion import camera, camera_models, change, flow, settings
from motifocal.motion.flow import Flow, estimate_flow

if TYPE_CHECKING:
    from motifocal.models.text_limit import TextLimit

Numbers = dict[str, float]
Record = dict[str, Any]
OWN, SHUFFLED = "own", "shuffled"
WEIGHT_FREE = "measures"
EARLIER_MEASURES = {"dino_picture_consistency": "dino_image_consistency"}  # in records
#: All modules that a number depends on; those that only check or refuse are left out.
_COMPUTES = (
    measures, fidelity, motion, temporal, controls, metrics,
    camera, camera_models, change, flow, settings,
    codec, file_kind, frame_pixels, frame_times, hdr, picture, png_chunks, pyav_versions, video,
)  # fmt: skip


@dataclass(frozen=True)
class ClipFeatures:
    """A clip's scores by a learned model, and the vector that it compares prompts with."""

    numbers: Numbers
    vector: Sequence[float] = ()


class Learned(Protocol):
    """Measures that need weights; see `learned.py`. `fingerprint` names the weights.

    `text_limit` is how much it reads of a prompt, None where it reads none.
    """

    name: str
    source: str
    fingerprint: str
    measures: Mapping[str, Measure]
    text_limit: TextLimit | None = None

    def embed(self, frames: Frames, image: npt.NDArray[np.uint8],
              orders: Sequence[Sequence[int]]) -> list[ClipFeatures]:
        """Return the features of the clip played in each of the orders; each frame is embedded
        once."""
        ...

    def score_text(self, vector: Sequence[float], prompt: str) -> Numbers:
        """Return the scores that depend on the prompt too, from the vector of a `ClipFeatures`."""
        ...


def weight_free_version() -> str:
    """Return a hash of the code and libraries that compute the weight-free scores."""
    digest = hashlib.sha256(f"{cv2.__version__} {np.__version__} {version('av')}".encode())
    for module in _COMPUTES:
        digest.update(inspect.getsource(module).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Tools:
    """The functions and models that scoring computes with."""

    decode: Callable[[Path], Clip] = read_video
    # The clips go to threads, not the pairs of frames.
    flow: Callable[[Frames], Flow] = field(default=partial(estimate_flow, workers=1))
    measure: Callable[[Frames, npt.NDArray[np.uint8], Flow, float], Mapping[str, float]] = measure
    measures: Mapping[str, Measure] = field(default_factory=lambda: MEASURES)
    version: str = field(default_factory=weight_free_version)
    learned: tuple[Learned, ...] = ()


@dataclass(frozen=True)
class ClipJob:
    """A clip to score: a video, or where that is None its image standing still.

    `shuffle` asks for the shuffled video too and holds what decides the order: a seed and a name.
    `frames` and `fps` are those of a still clip.
    """

    image: Path
    video: Path | None
    shuffle: tuple[int, str] | None = None
    frames: int = 0
    fps: float = 0.0


@dataclass(frozen=True)
class ClipScores:
    """The scores of one clip, by measure; `vectors` by learned model."""

    frames: int
    fps: float
    numbers: Numbers
    vectors: Mapping[str, Sequence[float]]


class ScoreCache:
    """The records of earlier runs by key, without lines that a crash has torn."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, Record] = {}
        for line in read_lines(path) if path.exists() else ():  # what is torn is computed again
            if isinstance(line.get("key"), str):
                self.lines[line["key"]] = _upgraded(line)

    def add(self, line: Record) -> None:
        append_line(self.path, line)
        self.lines[line["key"]] = line


def _upgraded(line: Record) -> Record:
    """Return a record with the names that the measures have now."""
    numbers = line.get("numbers")
    if not isinstance(numbers, dict):
        return line
    return {**line, "numbers": {EARLIER_MEASURES.get(name, name): number
                                for name, number in numbers.items()}}


def compute_scores(
    jobs: Sequence[ClipJob], tools: Tools, cache: ScoreCache, workers: Workers
) -> Iterator[tuple[ClipJob, dict[str, ClipScores] | str]]:
    """Yield every job as it gets done, with its scores by kind of clip, or why there are none.

    Each clip is decoded once and let go before its worker takes the next, so that memory holds as
    many clips as there are workers. New numbers are kept at once.
    """
    work = partial(_records_of, tools=tools, cached=dict(cache.lines))
    with closing(workers.run(work, jobs)) as all_done:
        for done in all_done:
            if done.result is None or isinstance(done.result, str):
                path = done.job.video or done.job.image
                yield done.job, done.result or f"{path}: {done.reason}"
                continue
            for line in done.result.values():
                if line["key"] not in cache.lines:
                    cache.add(line)
            yield done.job, _scores_of(done.result)


def _records_of(
    job: ClipJob, tools: Tools, cached: Mapping[str, Record]
) -> dict[tuple[str, str], Record] | str:
    """Return the record of each (kind of clip, what computes it), or why the files are unusable."""
    try:
        keys = _keys(job, tools)
        lines = {slot: cached[key] for slot, key in keys.items() if key in cached}
        lacking = [slot for slot in keys if slot not in lines]
        if lacking:
            for slot, line in _compute_records(job, tools, lacking).items():
                lines[slot] = {"key": keys[slot], **line}
    except VideoError as error:
        return str(error)
    return lines


def _keys(job: ClipJob, tools: Tools) -> dict[tuple[str, str], str]:
    for path in (job.video, job.image):
        if path is not None:
            check_file(path)
    what: list[object] = [sha256_of(job.image)]
    what += [job.frames, job.fps] if job.video is None else [sha256_of(job.video)]
    kinds: dict[str, list[object]] = {OWN: []}
    if job.shuffle is not None:
        kinds[SHUFFLED] = list(job.shuffle)
    makers = {WEIGHT_FREE: tools.version}
    makers |= {learned.name: learned.fingerprint for learned in tools.learned}
    return {(kind, by): hashlib.sha256(json.dumps([kind, details, by, which, what]).encode())
            .hexdigest() for kind, details in kinds.items() for by, which in makers.items()}


def _compute_records(
    job: ClipJob, tools: Tools, lacking: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Record]:
    """Decode, and compute the records that are lacking, without their keys."""
    image = read_image(job.image)
    if job.video is None:
        clip = Clip(still(image, job.frames), job.fps, np.arange(job.frames) / job.fps)
    else:
        clip = tools.decode(job.video)
        _check_clip(clip, image, job.video)
    orders = {OWN: tuple(range(len(clip.frames)))}
    if job.shuffle is not None:
        orders[SHUFFLED] = shuffle_order(len(clip.frames), *job.shuffle) or ()
    about: Record = {"file": (job.video or job.image).name, "frames": len(clip.frames),
                     "fps": clip.fps}
    features: dict[tuple[str, str], ClipFeatures] = {slot: ClipFeatures({}) for slot in lacking}
    for kind in (kind for kind, by in lacking if by == WEIGHT_FREE and orders[kind]):
        frames = clip.frames if kind == OWN else clip.frames[list(orders[kind])]
        moved = (tools.flow(frames) if job.video  # a still clip has none
                 else np.zeros((len(frames) - 1, 2, *frames.shape[1:3]), np.float32))
        try:
            numbers = tools.measure(frames, image, moved, clip.fps)
        except ValueError as error:
            raise ValueError(f"{job.video or job.image}: {error}") from error
        features[kind, WEIGHT_FREE] = ClipFeatures(_check_numbers(numbers, tools.measures))
    for learned in tools.learned:
        kinds = [kind for kind, by in lacking if by == learned.name and orders[kind]]
        if kinds:
            embedded = learned.embed(clip.frames, image, [orders[kind] for kind in kinds])
            features |= {(kind, learned.name): feature
                         for kind, feature in zip(kinds, embedded, strict=True)}
    return {slot: {"kind": slot[0], "by": slot[1], **about,
                   "numbers": {name: None if math.isnan(number) else number
                               for name, number in feature.numbers.items()},
                   "vector": list(feature.vector)} for slot, feature in features.items()}


def _check_clip(clip: Clip, image: npt.NDArray[np.uint8], path: Path) -> None:
    count, *size = clip.frames.shape
    if tuple(size) != image.shape:
        sizes = "{}x{}, got {}x{}".format(*image.shape[:2], *size[:2])
        raise VideoError(f"{path}: should be of its image's size, {sizes}")
    if count < 2:
        raise VideoError(f"{path}: should hold at least 2 frames, got {count}")


def _check_numbers(numbers: Mapping[str, float], table: Mapping[str, Measure]) -> Numbers:
    if set(numbers) != set(table) or any(math.isinf(number) for number in numbers.values()):
        raise ValueError(f"measures should be finite or nan, {sorted(table)}, got {dict(numbers)}")
    return {name: float(numbers[name]) for name in table}


def _scores_of(lines: Mapping[tuple[str, str], Record]) -> dict[str, ClipScores]:
    """Collect records by kind of clip, without kinds that have no numbers (nothing to shuffle)."""
    scores = {}
    for kind in (OWN, SHUFFLED):
        of_kind = {by: line for (other, by), line in lines.items() if other == kind}
        if WEIGHT_FREE in of_kind and of_kind[WEIGHT_FREE]["numbers"]:
            numbers = {name: math.nan if number is None else float(number)
                       for line in of_kind.values() for name, number in line["numbers"].items()}
            first = of_kind[WEIGHT_FREE]
            scores[kind] = ClipScores(first["frames"], first["fps"], numbers,
                                      {by: line["vector"] for by, line in of_kind.items()})
    return scores
