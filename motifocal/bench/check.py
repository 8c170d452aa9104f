"""A folder of results becomes a list of what is wrong with it, empty where all is well.

Letters: F frames, H W pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from motifocal.bench.pairs import match
from motifocal.bench.results import Results, Wanted, manifest_lines
from motifocal.generate.model import Format
from motifocal.media.picture import PICTURE_SUFFIXES
from motifocal.media.video import Clip, VideoError, read_image, read_video
from motifocal.motion.flow import usable_cores

# Frame 0 and a picture are compared as small pictures: the middle of the frame is looked for
# anywhere in the picture, as models shift it by a few percent, or begin to move at once.
THUMBNAIL, MIDDLE = 32, 24
# Of the 254 outputs of five published models that this was tried on, every one is likest to its own
# picture; the least likeness is 0.37, and half of the others' pictures stand above 0.46.
LEAST_LIKENESS = 0.25
MARGIN = 0.02  # by which another picture has to be liker


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: with which file, and what."""

    file: str
    what: str


@dataclass(frozen=True)
class Looked:
    """What a look into one video found: how it measures, or why it does not decode."""

    video: Wanted
    format: Format | None
    first: npt.NDArray[np.uint8] | None
    failure: str | None


def check(
    results: Results,
    expected: Format | None = None,
    *,
    least_likeness: float = LEAST_LIKENESS,
    looked_at: Callable[[int], object] = lambda count: None,
) -> list[Problem]:
    """Everything that is wrong with a folder of results.

    Every expected video has to be there and decode to its last frame, measure `expected` (by
    default what the folder says its model makes, else what most of its videos measure), and start
    with its picture: frame 0 is no liker to another picture of the folder, and at least
    `least_likeness` like it (see `likeness`; our reading: the bound is low, as models differ in
    fidelity and that is scored elsewhere). Files that belong to no expected video are named as
    well. `looked_at` is told how many are done.
    """
    wanted = results.wanted()
    there = [video for video in wanted if video.path.exists()]
    reasons = _reasons(results.folder)
    problems = [Problem(video.path.name, "is missing" + reasons.get(video.path.name, ""))
                for video in wanted if not video.path.exists()]
    pictures, unreadable = _pictures(results, there)
    problems += unreadable
    looks = []
    with ThreadPoolExecutor(usable_cores()) as pool:
        for count, look in enumerate(pool.map(_look, there), start=1):
            looks.append(look)
            looked_at(count)
    form = expected or results.format or _usual(looks)
    thumbnails = {image_id: _thumbnail(picture) for image_id, picture in pictures.items()}
    for look in looks:
        problems += [Problem(look.video.path.name, what)
                     for what in _wrong(look, form, pictures, thumbnails, least_likeness)]
    return problems + _strangers(results, wanted)


def _look(video: Wanted) -> Looked:
    try:
        clip = read_video(video.path)
    except VideoError as error:
        return Looked(video, None, None, str(error).replace(f"{video.path}: ", ""))
    return Looked(video, _format(clip), clip.frames[0].copy(), None)


def _format(clip: Clip) -> Format:
    frames, height, width, _ = clip.frames.shape
    return Format(frames, height, width, clip.fps)


def _usual(looks: Iterable[Looked]) -> Format | None:
    """What most of the videos measure."""
    formats = Counter(look.format for look in looks if look.format is not None)
    return formats.most_common(1)[0][0] if formats else None


def _wrong(
    look: Looked,
    expected: Format | None,
    pictures: Mapping[str, npt.NDArray[np.uint8]],
    thumbnails: Mapping[str, npt.NDArray[np.uint8]],
    least_likeness: float,
) -> list[str]:
    """What is wrong with one video that is there."""
    if look.failure is not None or look.format is None or look.first is None:
        return [f"does not decode: {look.failure}"]
    wrong = []
    if expected is not None and look.format != expected:
        wrong.append(f"should be {expected}, got {look.format}")
    own = look.video.pair.image_id
    if own not in pictures:
        return wrong
    if pictures[own].shape != look.first.shape:
        sizes = "{}x{}, the picture {}x{}".format(*look.first.shape[:2], *pictures[own].shape[:2])
        return [*wrong, f"should have its picture's size, is {sizes}"]
    first = _thumbnail(look.first)
    alike = {image: likeness(first, thumbnail) for image, thumbnail in thumbnails.items()}
    likest = max(alike, key=alike.__getitem__)
    if alike[likest] > alike[own] + MARGIN:
        wrong.append(f"should start with its picture, starts like {likest}")
    elif alike[own] < least_likeness:
        wrong.append(f"should start with its picture, frame 0 is {alike[own]:.2f} like it, "
                     f"{least_likeness:g} is the least")
    return wrong


def likeness(first: npt.NDArray[np.uint8], picture: npt.NDArray[np.uint8]) -> float:
    """How much the middle of one small picture is like the likest part of another: -1 to 1.

    The largest normalised correlation coefficient over all places; 0 where one is a plain area.
    """
    edge = (THUMBNAIL - MIDDLE) // 2
    middle = np.ascontiguousarray(first[edge : edge + MIDDLE, edge : edge + MIDDLE])
    if np.ptp(middle) == 0 or np.ptp(picture) == 0:
        return 0.0
    return float(cv2.matchTemplate(picture, middle, cv2.TM_CCOEFF_NORMED).max())


def _thumbnail(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    small = cv2.resize(picture, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _pictures(
    results: Results, there: Sequence[Wanted]
) -> tuple[dict[str, npt.NDArray[np.uint8]], list[Problem]]:
    """The pictures of the videos that are there, by image id, and what is wrong with them."""
    found, problems = {}, []
    for pair in {video.pair.image_id: video.pair for video in there}.values():
        try:
            found[pair.image_id] = read_image(results.picture(pair))
        except VideoError as error:
            problems.append(Problem(f"pictures/{pair.image_id}.png", str(error).split(": ")[-1]))
    return found, problems


def _reasons(folder: Path) -> dict[str, str]:
    """File -> why its last try failed, as the manifests have it."""
    found: dict[str, str] = {}
    for line in manifest_lines(folder):
        failed = line.get("status") == "failed"
        found[str(line.get("file"))] = f" ({line.get('reason')})" if failed else ""
    return found


def _strangers(results: Results, wanted: Sequence[Wanted]) -> list[Problem]:
    """Videos that are there and not expected: of other seeds, or of no pair at all."""
    names = {video.path.name for video in wanted}
    folder = results.folder / "videos"
    there = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    extra = [name for name in there if name not in names]
    known, _ = match(extra, results.benchmark.pairs)
    seeds = ", ".join(map(str, results.seeds))
    return [Problem(name, f"is of another seed than {seeds}" if name in known
                    else "belongs to no pair") for name in extra
            if name in known or Path(name).suffix.lower() not in PICTURE_SUFFIXES]
