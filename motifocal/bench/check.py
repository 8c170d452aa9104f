"""List what is wrong with a folder of results.

Letters: F frames, H W pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from motifocal.bench.results import ExpectedVideo, Results, manifest_lines
from motifocal.bench.video_names import match
from motifocal.generate.model import Format
from motifocal.media.picture import PICTURE_SUFFIXES
from motifocal.media.video import VideoError, read_image, read_video
from motifocal.motion.flow import usable_cores

# Frame 0 and an image are compared as small images: the middle of the frame is looked for
# anywhere in the image, as models shift it by a few percent, or begin to move at once.
THUMBNAIL, MIDDLE = 32, 24
# Of the 254 outputs of five published models that this was tried on, every one is likest to its own
# image; the least likeness is 0.37, and half of the others' images stand above 0.46.
LEAST_LIKENESS = 0.25
MARGIN = 0.02  # by which another image has to be liker


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file."""

    file: str
    what: str


@dataclass(frozen=True)
class DecodedVideo:
    """A video's format and first frame, or why it does not decode."""

    video: ExpectedVideo
    format: Format | None
    first: npt.NDArray[np.uint8] | None
    failure: str | None


def check(
    results: Results, expected: Format | None = None, *, least_likeness: float = LEAST_LIKENESS,
    on_progress: Callable[[int], object] = lambda count: None,
) -> list[Problem]:  # fmt: skip
    """List everything that is wrong with a folder of results.

    Every expected video has to be there and decode to its last frame, measure `expected` (by
    default what the folder says its model makes, else what most of its videos measure), and start
    with its image: frame 0 is no liker to another image of the folder, and at least
    `least_likeness` like it (see `likeness`; our reading: the bound is low, as models differ in
    fidelity and that is scored elsewhere). Files that belong to no expected video are named as
    well. `on_progress` is told how many are done.
    """
    expected_videos = results.expected()
    present = [video for video in expected_videos if video.path.exists()]
    reasons = _failure_reasons(results.folder)
    problems = [Problem(video.path.name, "is missing" + reasons.get(video.path.name, ""))
                for video in expected_videos if not video.path.exists()]
    images, unreadable = _images(results, present)
    problems += unreadable
    decoded = []
    with ThreadPoolExecutor(usable_cores()) as pool:
        for count, decoded_video in enumerate(pool.map(_decode, present), start=1):
            decoded.append(decoded_video)
            on_progress(count)
    formats = Counter(video.format for video in decoded if video.format is not None)
    form = expected or results.format or next((form for form, _ in formats.most_common(1)), None)
    thumbnails = {image_id: _thumbnail(image) for image_id, image in images.items()}
    for decoded_video in decoded:
        words = _problems_of(decoded_video, form, images, thumbnails, least_likeness)
        problems += [Problem(decoded_video.video.path.name, what) for what in words]
    return problems + _unexpected_files(results, expected_videos)


def _decode(video: ExpectedVideo) -> DecodedVideo:
    try:
        clip = read_video(video.path)
    except VideoError as error:
        return DecodedVideo(video, None, None, str(error).replace(f"{video.path}: ", ""))
    return DecodedVideo(video, Format.of(clip.frames, clip.fps), clip.frames[0].copy(),
                        None)


def _problems_of(
    decoded: DecodedVideo, expected: Format | None, images: Mapping[str, npt.NDArray[np.uint8]],
    thumbnails: Mapping[str, npt.NDArray[np.uint8]], least_likeness: float,
) -> list[str]:  # fmt: skip
    """List what is wrong with one video that is there."""
    if decoded.failure is not None or decoded.format is None or decoded.first is None:
        return [f"does not decode: {decoded.failure}"]
    problems = []
    if expected is not None and decoded.format != expected:
        problems.append(f"should be {expected}, got {decoded.format}")
    own = decoded.video.pair.image_id
    if own not in images:
        return problems
    if images[own].shape != decoded.first.shape:
        sizes = "{}x{}, the image {}x{}".format(
            *decoded.first.shape[:2], *images[own].shape[:2])
        return [*problems, f"should have its image's size, is {sizes}"]
    first = _thumbnail(decoded.first)
    likenesses = {image: likeness(first, thumbnail) for image, thumbnail in thumbnails.items()}
    closest = max(likenesses, key=likenesses.__getitem__)
    if likenesses[closest] > likenesses[own] + MARGIN:
        problems.append(f"should start with its image, starts like {closest}")
    elif likenesses[own] < least_likeness:
        problems.append(f"should start with its image, frame 0 is {likenesses[own]:.2f} like it, "
                        f"{least_likeness:g} is the least")
    return problems


def likeness(first: npt.NDArray[np.uint8], image: npt.NDArray[np.uint8]) -> float:
    """Compare the middle of one thumbnail with the most similar part of another: -1 to 1.

    The largest normalised correlation coefficient over all places; 0 where one is a plain area.
    """
    edge = (THUMBNAIL - MIDDLE) // 2
    middle = np.ascontiguousarray(first[edge : edge + MIDDLE, edge : edge + MIDDLE])
    if np.ptp(middle) == 0 or np.ptp(image) == 0:
        return 0.0
    return float(cv2.matchTemplate(image, middle, cv2.TM_CCOEFF_NORMED).max())


def _thumbnail(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    small = cv2.resize(image, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _images(
    results: Results, there: Sequence[ExpectedVideo]
) -> tuple[dict[str, npt.NDArray[np.uint8]], list[Problem]]:
    """Read the images of these videos, by image id; return them and what is wrong with others."""
    images, problems = {}, []
    for pair in {video.pair.image_id: video.pair for video in there}.values():
        try:
            images[pair.image_id] = read_image(results.image(pair))
        except VideoError as error:
            problems.append(Problem(f"pictures/{pair.image_id}.png", str(error).split(": ")[-1]))
    return images, problems


def _failure_reasons(folder: Path) -> dict[str, str]:
    """Map each file to why its last try failed, as the manifests have it."""
    reasons: dict[str, str] = {}
    for line in manifest_lines(folder):
        failed = line.get("status") == "failed"
        reasons[str(line.get("file"))] = f" ({line.get('reason')})" if failed else ""
    return reasons


def _unexpected_files(results: Results, expected_videos: Sequence[ExpectedVideo]) -> list[Problem]:
    """List files that are no expected video: of other seeds, or of no pair at all."""
    names = {video.path.name for video in expected_videos}
    folder = results.folder / "videos"
    there = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    extra = [name for name in there if name not in names]
    known, _ = match(extra, results.benchmark.pairs)
    seeds = ", ".join(map(str, results.seeds))
    return [Problem(name, f"is of another seed than {seeds}" if name in known
                    else "belongs to no pair") for name in extra
            if name in known or Path(name).suffix.lower() not in PICTURE_SUFFIXES]
