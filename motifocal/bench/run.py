"""Run a model on a benchmark: resumable, in shards, with a manifest of every video."""

from __future__ import annotations

import platform
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from motifocal.bench.results import MANIFEST, ExpectedVideo, Results, claim_results
from motifocal.data.workers.here import Here
from motifocal.data.workers.items import Done, Workers
from motifocal.files.atomic import sha256_of
from motifocal.files.json_lines import append_line
from motifocal.generate.model import Format, Job, Model, ModelInfo
from motifocal.media.picture import Pixels
from motifocal.media.video import VideoError, read_image, read_video, resize_crop, write_image

PACKAGES = ("motifocal", "torch", "diffusers", "transformers", "av", "numpy")
FitFunction = Callable[[Pixels, int, int], Pixels]

FAILURES_IN_A_ROW = 5  # of different images, that end a run: it is not the images then


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count` parts of a run."""

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise ValueError(f"shard should be i/n with 1 <= i <= n, got {self.index}/{self.count}")


@dataclass(frozen=True)
class Outcome:
    """The result of one expected video: None, or why it is not there; `new` if just made."""

    video: ExpectedVideo
    failure: str | None
    new: bool


def run(
    model: Model, results: Results, *, shard: Shard = Shard(), batch: int = 1,
    failures_in_a_row: int = FAILURES_IN_A_ROW,
) -> Iterator[Outcome]:  # fmt: skip
    """Make the videos of `results` that are missing, and yield the outcome of every one.

    Videos are made `batch` at a time. Which ones go together depends neither on the shard nor on
    what is already there: batching may change a video in its last bits, and so a run that was
    killed, or done in shards, gives the very files of one that was not. Failed ones are tried
    again by the next run.

    Raises ValueError for a folder begun with another model, settings, pairs or seeds, and where
    nothing was made and `failures_in_a_row` batches of different images have failed one after the
    other, with no video between them that was there.
    """
    return run_on(Here(), lambda: model, ModelInfo.of(model), results, shard=shard, batch=batch,
                  failures_in_a_row=failures_in_a_row)


def run_on(
    workers: Workers, load: Callable[[], Model], info: ModelInfo, results: Results, *,
    shard: Shard = Shard(), batch: int = 1, failures_in_a_row: int = FAILURES_IN_A_ROW,
) -> Iterator[Outcome]:  # fmt: skip
    """Do what `run` does on workers, each of which loads the model once.

    Outcomes, and lines of the manifest, come as videos are done; the videos are those of `run`.

    Args:
        load: gives the model in a worker; sent there, so a function of a module or a `partial`.
        info: the model's, as `load` gives it; a worker whose model has other settings makes none.
    """
    if batch < 1:
        raise ValueError(f"batch should be at least 1, got {batch}")
    claim_results(results)
    staging = results.folder / f".making-{shard.index}-of-{shard.count}"
    shutil.rmtree(staging, ignore_errors=True)
    there: deque[Outcome] = deque()
    chunks = _missing(results.expected(), shard, batch, staging, there)
    failing = _Failing(failures_in_a_row)
    with closing(workers.run(_MakeVideos(load, info.settings, results), chunks)) as all_done:
        for done in all_done:
            while there:
                failing.reset()
                yield there.popleft()
            outcomes = _kept(results, info, results.folder / manifest_name(shard), done)
            yield from outcomes
            failing.count(outcomes)
    yield from there
    shutil.rmtree(staging, ignore_errors=True)


@dataclass
class _Failing:
    """Batches that fail one after the other, as long as nothing is made at all.

    Those of one image count once: what fails may be the image.
    """

    most: int
    made: bool = False
    batches: int = 0
    images: set[str] = field(default_factory=set)

    def reset(self) -> None:
        """Begin to count anew, after a video that is there."""
        self.batches = 0
        self.images.clear()

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Count a batch; ValueError where `most` have failed and nothing was made."""
        self.made = self.made or any(outcome.new for outcome in outcomes)
        if not all(outcome.failure for outcome in outcomes):
            self.reset()
            return
        images = {outcome.video.pair.image_id for outcome in outcomes}
        self.batches += not images <= self.images
        self.images |= images
        if self.batches >= self.most and not self.made:
            raise ValueError(f"{self.batches} batches of different images failed one after the "
                             f"other and no video was made, the last reason: "
                             f"{outcomes[-1].failure}")


@dataclass(frozen=True)
class _Chunk:
    """Videos that are made together, in a folder of their own."""

    videos: tuple[ExpectedVideo, ...]
    staging: Path

    @property
    def jobs(self) -> list[Job]:
        return [Job(video.pair.required_image(), video.pair.prompt, video.seed,
                    self.staging / video.path.name) for video in self.videos]


def _missing(
    videos: Sequence[ExpectedVideo], shard: Shard, batch: int, staging: Path, there: deque[Outcome]
) -> Iterator[_Chunk]:
    """Yield the shard's chunks that lack a video; add the outcomes of the others to `there`."""
    starts = range(0, len(videos), batch)
    for start in starts[shard.index - 1 :: shard.count]:
        chunk = videos[start : start + batch]
        if all(video.path.exists() for video in chunk):
            there.extend(Outcome(video, None, False) for video in chunk)
        else:
            yield _Chunk(tuple(chunk), staging / str(start))


@dataclass(frozen=True)
class _Made:
    """A video that lies in its chunk's folder, or the reason why there is none."""

    reason: str | None
    line: dict[str, Any] = field(default_factory=dict)  # what the manifest says of it


@dataclass
class _MakeVideos:
    """Make one chunk under other names and check every video, in a worker."""

    load: Callable[[], Model]
    settings: Mapping[str, Any]
    results: Results

    @cached_property
    def model(self) -> Model:
        model = self.load()
        if model.settings != self.settings:
            raise ValueError(f"the model should have the settings {dict(self.settings)} in every "
                             f"worker, got {dict(model.settings)}")
        return model

    def __call__(self, chunk: _Chunk) -> list[_Made]:
        shutil.rmtree(chunk.staging, ignore_errors=True)
        chunk.staging.mkdir(parents=True)
        began = time.perf_counter()
        reasons = self.model.animate(chunk.jobs)
        seconds = round((time.perf_counter() - began) / len(chunk.videos), 3)
        return [self._checked(video, job, reason, {"seconds": seconds}) for video, job, reason
                in zip(chunk.videos, chunk.jobs, reasons, strict=True)]

    def _checked(
        self, video: ExpectedVideo, job: Job, reason: str | None, line: dict[str, Any]
    ) -> _Made:
        try:
            if reason is None and not video.path.exists():
                line |= register_video(self.results, video, job.output, read_image(job.image))
        except VideoError as error:
            reason = str(error).replace(str(job.output.parent), "").lstrip("/\\")
        return _Made(reason, line)


def _kept(
    results: Results, info: ModelInfo, manifest: Path, done: Done[_Chunk, list[_Made]]
) -> list[Outcome]:
    """Write a chunk's lines of the manifest, and move its videos to their places."""
    chunk = done.job
    outcomes = []
    made = done.result or [_Made(str(done.reason))] * len(chunk.videos)
    for video, job, attempt in zip(chunk.videos, chunk.jobs, made, strict=True):
        if video.path.exists():  # made by an earlier run, which was stopped within this chunk
            outcomes.append(Outcome(video, None, False))
            continue
        line = {**manifest_row(video, info.settings), **attempt.line}
        if info.text_limit is not None and (end := info.text_limit.unread(job.prompt)):
            line["unread"] = end  # of the prompt
        line |= ({"status": "made"} if attempt.reason is None
                 else {"status": "failed", "reason": attempt.reason})
        append_line(manifest, line)
        if attempt.reason is None:
            job.output.replace(video.path)
        outcomes.append(Outcome(video, attempt.reason, attempt.reason is None))
    shutil.rmtree(chunk.staging, ignore_errors=True)
    return outcomes


def register_video(
    results: Results, video: ExpectedVideo, file: Path, image: Pixels,
    fit: FitFunction = resize_crop,
) -> dict[str, Any]:
    """Check a finished video, keep the image as its model saw it, and return the manifest's
    entries.

    `fit` brings the image to the video's (height, width).

    Raises VideoError where the video does not decode, is not what its model promised, or differs
    in size from the other videos of its image.
    """
    clip = read_video(file)
    measured = Format.of(clip.frames, clip.fps)
    if results.format is not None and measured != results.format:
        raise VideoError(f"{file.name}: should be {results.format}, got {measured}")
    _keep_image(results, video, fit(image, measured.height, measured.width))
    return {**asdict(measured), "picture_sha256": sha256_of(results.image(video.pair)),
            "video_sha256": sha256_of(file)}


def _keep_image(results: Results, video: ExpectedVideo, image: Pixels) -> None:
    """Write the image as the model saw it, or compare with the one that is there."""
    path = results.image(video.pair)
    if not path.exists():
        write_image(path, image)
    kept = read_image(path)
    if kept.shape != image.shape or not np.array_equal(kept, image):
        sizes = "{}x{}, got {}x{}".format(*kept.shape[:2], *image.shape[:2])
        raise VideoError(f"{video.path.name}: should show the image like the other videos of "
                         f"{video.pair.image_id}, {sizes}")


def manifest_row(video: ExpectedVideo, settings: Any) -> dict[str, Any]:
    """Return what a manifest line says of a video whatever its outcome."""
    return {
        "file": video.path.name,
        "scenario": video.pair.scenario,
        "image_id": video.pair.image_id,
        "prompt": video.pair.prompt,
        "seed": video.seed,
        "settings": dict(settings),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages that decide a video, and the machine's kind."""
    installed = {"python": platform.python_version(), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:  # a model behind a command needs none of them
            continue
    return installed


def manifest_name(shard: Shard) -> str:
    """Return the manifest's name: a file for every shard, so that no two processes write to one."""
    part = f"-{shard.index}-of-{shard.count}" if shard.count > 1 else ""
    return f"{MANIFEST}{part}.jsonl"
