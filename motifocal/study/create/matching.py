"""Match the videos of several models by pair and seed, and check that they are comparable.

F frames, H W pixels. A group's videos have to be alike in everything that does not concern the
study: what differs is named, and may be reconciled where the researcher says how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motifocal.bench.ingest import FITS
from motifocal.bench.pairs import Benchmark, Pair
from motifocal.bench.results import Results
from motifocal.generate.model import Format
from motifocal.media.picture import Pixels, VideoError
from motifocal.media.video import read_video
from motifocal.motion.flow import usable_cores
from motifocal.study.votes import GOLD

NAMED = 3  # examples in a message


@dataclass(frozen=True)
class Reconcile:
    """How sets that differ are brought together; by default they are not.

    common: take the pairs and seeds that all have. size: (H, W) for all videos, to which they are
    brought by `fit`, a key of `bench.ingest.FITS`. fps: resample all to this rate. frames, or
    seconds at the resulting rate: keep the beginning of each video.
    """

    common: bool = False
    size: tuple[int, int] | None = None
    fit: str = "crop"
    fps: float | None = None
    frames: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise ValueError(f"fit should be one of {', '.join(FITS)}, got {self.fit!r}")
        if self.frames is not None and self.seconds is not None:
            raise ValueError(f"frames or seconds should be given, got {self.frames} and "
                             f"{self.seconds:g}")
        numbers = (*(self.size or ()), self.frames, self.seconds, self.fps)
        if any(number is not None and not number > 0 for number in numbers):
            raise ValueError(f"size, fps, frames and seconds should be positive, got {self}")


AS_THEY_ARE = Reconcile()


@dataclass(frozen=True)
class Group:
    """One pair and seed: the image as the first model saw it, and every model's video."""

    pair: Pair
    seed: int
    image: Path
    videos: tuple[Path, ...]

    @property
    def name(self) -> str:
        """What the videos are called."""
        return self.pair.file(self.seed)


def match_results(a: Results, bs: Sequence[Results], *, common: bool = False) -> list[Group]:
    """Group the pairs and seeds of `a`, in its order, with the videos of all models, `a`'s first.

    Raises ValueError for no baseline, names of models that are empty, equal or the word for a kind
    of gold, and, unless `common`, where a video is missing or one of them has pairs that another
    has not.
    """
    models = (a, *bs)
    names = [results.model for results in models]
    if len(set(names)) < len(names) or len(names) < 2 or not all(name.strip() for name in names):
        raise ValueError(f"two models or more should have different names, got {', '.join(names)}")
    if set(names) & set(GOLD):
        raise ValueError(f"no model should be called {', '.join(sorted(set(names) & set(GOLD)))}: "
                         "votes call damaged videos so")
    expected = [{(video.pair.stem, video.seed): video for video in results.expected()}
                for results in models]
    present = [[key for key, video in videos.items() if video.path.exists()] for videos in expected]
    shared = set(present[0]).intersection(*present[1:])
    if not common:
        _check_complete(names, [set(videos) for videos in expected],
                        [set(keys) for keys in present], len(shared))
    if not shared:
        raise ValueError(f"{', '.join(names)} should have pairs in common, got none")
    return [Group(video.pair, video.seed, a.image(video.pair),
                  tuple(videos[key].path for videos in expected))
            for key, video in expected[0].items() if key in shared]


def _check_complete(
    names: Sequence[str], expected: Sequence[set[tuple[str, int]]],
    there: Sequence[set[tuple[str, int]]], in_common: int,
) -> None:  # fmt: skip
    whole = set[tuple[str, int]]().union(*expected)
    words = []
    for name, asked_for, present in zip(names, expected, there, strict=True):
        for missing, what in ((whole - asked_for, "does not expect"),
                              (asked_for - present, "lacks")):
            if missing:
                first = ", ".join(f"{stem}_{seed}" for stem, seed in sorted(missing)[:NAMED])
                words.append(f"{name} {what} {len(missing)} of {len(whole)} videos: {first}"
                             + (", ..." if len(missing) > NAMED else ""))
    if words:
        raise ValueError(f"all models should have the same pairs and seeds: {'; '.join(words)}; "
                         f"--common takes the {in_common} that all have")


def check_pairs(groups: Sequence[Group], benchmark: Benchmark, *, part: bool) -> None:
    """Raise ValueError unless the pairs are those of the benchmark, or with `part` some of them."""
    stems = {group.pair.stem for group in groups}
    known = {pair.stem for pair in benchmark.pairs}
    strange, missing = sorted(stems - known), sorted(known - stems)
    if strange:
        raise ValueError(f"all pairs should be of {benchmark.title}, got {len(strange)} others: "
                         f"{', '.join(strange[:NAMED])}")
    if missing and not part:
        raise ValueError(f"all {len(known)} pairs of {benchmark.title} should be there, "
                         f"{len(missing)} are not: {', '.join(missing[:NAMED])}; --common takes "
                         "those that are")


def load_clip(path: Path, reconcile: Reconcile) -> tuple[Pixels, float]:
    """Read a video as the study shows it, (F, H, W, 3), and its rate. Raise VideoError if too
    short."""
    clip = read_video(path, fps=reconcile.fps)
    count = reconcile.frames or len(clip.frames)
    if reconcile.seconds is not None:
        count = max(1, round(reconcile.seconds * clip.fps))
    if len(clip.frames) < count:
        raise VideoError(f"{path}: should have {count} frames, got {len(clip.frames)}")
    frames = clip.frames[:count]
    if reconcile.size is not None:
        frames = np.stack([FITS[reconcile.fit](frame, *reconcile.size) for frame in frames])
    return frames, clip.fps


def measure_formats(
    names: Sequence[str], groups: Sequence[Group], reconcile: Reconcile,
    on_progress: Callable[[int], object] = lambda count: None,
) -> list[Format]:  # fmt: skip
    """Return the format of each group's videos, all of them alike.

    Raises ValueError where they differ, saying in what and which model has what, and VideoError
    for one that does not decode to its end or is too short. `on_progress` is told how many groups
    are done.
    """
    def measure(group: Group) -> list[Format]:
        clips = (load_clip(path, reconcile) for path in group.videos)
        return [Format.of(frames, fps) for frames, fps in clips]

    measured_groups = []
    with ThreadPoolExecutor(usable_cores()) as pool:
        for count, group_formats in enumerate(pool.map(measure, groups), start=1):
            measured_groups.append(group_formats)
            on_progress(count)
    words = [_difference(names, groups, measured_groups, what) for what in _QUANTITIES]
    if any(words):
        raise ValueError("the models' videos should be alike: " + "; ".join(filter(None, words)))
    return [group_formats[0] for group_formats in measured_groups]


#: What can differ -> how it is said, and which option reconciles it.
_QUANTITIES: Mapping[str, tuple[Callable[[Format], str], str]] = {
    "size": (lambda format_: f"{format_.height}x{format_.width}", "--size HEIGHTxWIDTH"),
    "rate": (lambda format_: f"{format_.fps:g} frames/s", "--fps"),
    "length": (lambda format_: f"{format_.frames} frames", "--frames or --seconds"),
}


def _difference(
    names: Sequence[str], groups: Sequence[Group], measured: Sequence[Sequence[Format]], what: str
) -> str:
    """Say in how many groups the models differ in `what`, and what each has there."""
    describe, option = _QUANTITIES[what]
    differing = [index for index, formats in enumerate(measured)
                 if len(set(map(describe, formats))) > 1]
    if not differing:
        return ""
    listed = ", ".join(
        f"{name} {' or '.join(sorted({describe(measured[index][model]) for index in differing}))}"
        for model, name in enumerate(names)
    )
    return (f"{what} differs in {len(differing)} of {len(groups)} pairs ({listed}; the first is "
            f"{groups[differing[0]].name}): {option}")
