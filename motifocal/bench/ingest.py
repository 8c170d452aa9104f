"""Copy finished videos of any model into a folder of results, matched to the pairs by name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import cv2
import numpy as np

from motifocal.bench.pairs import Benchmark, Pair
from motifocal.bench.results import ExpectedVideo, Results, claim_results, manifest_lines
from motifocal.bench.run import FitFunction, Shard, manifest_name, manifest_row, register_video
from motifocal.bench.video_names import match
from motifocal.files.atomic import replacing, sha256_of
from motifocal.files.disk import NO_ROOM
from motifocal.files.json_lines import append_line
from motifocal.media.codec import FINE_CRF
from motifocal.media.picture import Pixels, VideoError, one_line, read_image
from motifocal.media.video import list_videos, read_video, resize_crop, write_video


def stretch(image: Pixels, height: int, width: int) -> Pixels:
    """Resize the whole image, whatever its proportions."""
    shrinks = height * width < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)


#: How a model may have brought images to its size.
FITS: Mapping[str, FitFunction] = MappingProxyType({"crop": resize_crop, "stretch": stretch})


@dataclass(frozen=True)
class MatchedVideos:
    """The videos of a folder: by pair and seed, and the names that belong to no pair."""

    videos: Mapping[tuple[str, int], Path]
    unmatched: tuple[str, ...]

    def seeds(self) -> tuple[int, ...]:
        """Return all seeds that occur."""
        return tuple(sorted({seed for _, seed in self.videos}))


def find_videos(folder: Path, pairs: tuple[Pair, ...]) -> MatchedVideos:
    """Find the videos under a folder and match them to the pairs by name, whatever the container.

    Raises ValueError where two files are the video of one pair and seed.
    """
    files = list_videos(folder)
    names, unmatched = match([str(path) for path in files], pairs)
    videos: dict[tuple[str, int], Path] = {}
    for name, (pair, seed) in names.items():
        other = videos.setdefault((pair.stem, seed), Path(name))
        if other != Path(name):
            raise ValueError(f"{pair.file(seed)} should be one file, got {other} and {name}")
    return MatchedVideos(videos, tuple(Path(name).name for name in unmatched))


def with_videos(benchmark: Benchmark, matched: MatchedVideos) -> Benchmark:
    """Return the pairs that have a video for every seed, marked as a part of the benchmark.

    Raises ValueError where there is none.
    """
    seeds = matched.seeds()
    pairs = tuple(pair for pair in benchmark.pairs
                  if seeds and all((pair.stem, seed) in matched.videos for seed in seeds))
    if not pairs:
        raise ValueError(f"none of the {benchmark.total} pairs of {benchmark.title} has a video")
    if len(pairs) == benchmark.total:
        return benchmark
    parts = [benchmark.subset] if benchmark.subset else []
    return replace(benchmark, pairs=pairs, subset=", ".join([*parts, "those with a video"]))


def ingest(
    results: Results, matched: MatchedVideos, fit: FitFunction = resize_crop
) -> Iterator[tuple[ExpectedVideo, str | None]]:
    """Copy the videos that are not in `results` yet, with their images and manifest lines.

    An .mp4 is taken byte for byte, anything else is encoded again. Yields every expected video of
    which there is a file, with None, or with the reason why it was not taken: the file does not
    decode, differs in size from the other videos of its image, or cannot be copied. What is
    missing stays missing (`Results.missing`). Raises ValueError, before anything is copied, where
    the folder has the video of another file, and OSError where the disk is full.
    """
    claim_results(results)
    _check_same_sources(results, matched)
    for video in results.expected():
        source = matched.videos.get((video.pair.stem, video.seed))
        if source is None:
            continue
        yield video, None if video.path.exists() else _ingest_video(results, video, source, fit)


def _check_same_sources(results: Results, matched: MatchedVideos) -> None:
    """Raise ValueError where videos that are there were copied from other files than these."""
    before = {str(line.get("file")): line.get("source_sha256")
              for line in manifest_lines(results.folder)}
    others = [source for video in results.expected()
              if (source := matched.videos.get((video.pair.stem, video.seed))) is not None
              and (noted := before.get(video.path.name)) is not None and video.path.exists()
              and noted != sha256_of(source)]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise ValueError(f"{results.folder} should hold the videos of these files, got other ones "
                         f"in place of {others[0]}{more}; choose another folder")


def _ingest_video(
    results: Results, video: ExpectedVideo, source: Path, fit: FitFunction
) -> str | None:
    """Copy one video; return the reason where that cannot be done."""
    try:
        with TemporaryDirectory(prefix=".ingest-", dir=results.folder) as folder:
            _copy_video(results, video, source, Path(folder), fit)
    except (VideoError, OSError) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        return one_line(error).removeprefix(f"{source}: ")
    return None


def _copy_video(
    results: Results, video: ExpectedVideo, source: Path, scratch: Path, fit: FitFunction
) -> None:
    file = source
    if source.suffix.lower() != ".mp4":
        clip = read_video(source)
        file = scratch / video.path.name
        write_video(file, clip.frames, clip.fps, crf=FINE_CRF)
    line = manifest_row(video, results.settings) | {"status": "ingested"}
    line |= {"source": source.name, "source_sha256": sha256_of(source)}
    line |= register_video(results, video, file, read_image(video.pair.required_image()), fit)
    append_line(results.folder / manifest_name(Shard()), line)
    with replacing(video.path) as temporary:
        shutil.copyfile(file, temporary)
