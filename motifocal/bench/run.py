"""Run a model on a benchmark: resumable, in shards, with a manifest of every video."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from motifocal.bench.results import MANIFEST, ExpectedVideo, Results, claim_results
from motifocal.files.atomic import sha256_of
from motifocal.files.json_lines import append_line
from motifocal.generate.model import Format, Job, Model
from motifocal.media.picture import Pixels
from motifocal.media.video import VideoError, read_image, read_video, resize_crop, write_image

PACKAGES = ("motifocal", "torch", "diffusers", "transformers", "av", "numpy")
FitFunction = Callable[[Pixels, int, int], Pixels]

FAILURES_IN_A_ROW = 5  # that end a run: it is not the images then


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

    Raises ValueError for a folder begun with another model, settings, pairs or seeds, and after
    `failures_in_a_row` videos have failed one after the other.
    """
    if batch < 1:
        raise ValueError(f"batch should be at least 1, got {batch}")
    claim_results(results)
    videos = results.expected()
    chunks = [videos[start : start + batch] for start in range(0, len(videos), batch)]
    staging = results.folder / f".making-{shard.index}-of-{shard.count}"
    failed = 0
    for chunk in chunks[shard.index - 1 :: shard.count]:
        there = [video.path.exists() for video in chunk]
        if all(there):
            yield from (Outcome(video, None, False) for video in chunk)
            continue
        outcomes = _make_videos(model, results, shard, chunk, staging)
        for outcome in outcomes:
            failed = failed + 1 if outcome.failure else 0
            yield outcome
        if failed >= failures_in_a_row:
            raise ValueError(f"{failed} videos failed one after the other, the last one: "
                             f"{outcomes[-1].failure}")
    shutil.rmtree(staging, ignore_errors=True)


def _make_videos(
    model: Model, results: Results, shard: Shard, chunk: Sequence[ExpectedVideo], staging: Path
) -> list[Outcome]:
    """Make one chunk under other names, check every video, then move them to their places."""
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    jobs = [Job(video.pair.required_image(), video.pair.prompt, video.seed,
                staging / video.path.name) for video in chunk]
    began = time.perf_counter()
    reasons = model.animate(jobs)
    seconds = (time.perf_counter() - began) / len(chunk)
    outcomes = []
    for video, job, reason in zip(chunk, jobs, reasons, strict=True):
        if video.path.exists():  # made by an earlier run, which was stopped within this chunk
            outcomes.append(Outcome(video, None, False))
            continue
        line = {**manifest_row(video, model.settings), "seconds": round(seconds, 3)}
        if model.text_limit is not None and (end := model.text_limit.unread(job.prompt)):
            line["unread"] = end  # of the prompt
        try:
            if reason is None:
                line |= register_video(results, video, job.output, read_image(job.image))
        except VideoError as error:
            reason = str(error).replace(str(staging), "").lstrip("/\\")
        line |= {"status": "made"} if reason is None else {"status": "failed", "reason": reason}
        append_line(results.folder / manifest_name(shard), line)
        if reason is None:
            job.output.replace(video.path)
        outcomes.append(Outcome(video, reason, reason is None))
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
        raise VideoError(f"{video.path.name}: should show the picture like the other videos of "
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
