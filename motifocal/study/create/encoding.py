"""Describe a study as a layout, and encode its videos and images for the annotators.

F frames, H W pixels. All videos are encoded with the same settings and without metadata, and those
that can stand beside each other have the same number of bytes.
"""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from motifocal.bench.ingest import FITS
from motifocal.generate.model import Format
from motifocal.media.picture import Pixels, read_image, write_image
from motifocal.media.video import write_video
from motifocal.motion.flow import usable_cores
from motifocal.study.create.gold_videos import Damaged
from motifocal.study.create.matching import Group, Reconcile, load_clip
from motifocal.study.protocol import Protocol

VIDEO_TYPE, IMAGE_TYPE = "video/mp4", "image/png"
CRF = 12  # a second encoding should cost next to nothing
_BOX = 8  # bytes of an MP4 box's header: its length, its type

RandomBytes = Callable[[int], bytes]
Progress = Callable[[str, int, int], object]
#: Which video of a group: ("", model), or (kind of gold, its index in the layout).
Version = tuple[str, int]


@dataclass(frozen=True)
class RealItem:
    """An item to be judged: group `group` in comparison `baseline` (from 1, as in `Layout.models`),
    and which model is on the left in each of its votes."""

    baseline: int
    group: int
    left: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """A whole study before its videos are encoded.

    models: names, the one that is compared with all others first. groups and their formats; items
    in the order in which they will be judged; gold items; `crf` of the encoding; and what is stored
    beside it as `material`.
    """

    protocol: Protocol
    models: tuple[str, ...]
    groups: tuple[Group, ...]
    formats: tuple[Format, ...]
    items: tuple[RealItem, ...]
    gold: tuple[Damaged, ...]
    reconcile: Reconcile
    crf: int
    material: Mapping[str, Any]

    @property
    def votes(self) -> int:
        """Real votes that are wanted."""
        return sum(len(item.left) for item in self.items)


@dataclass(frozen=True)
class Encoded:
    """The videos of one group, damaged ones too: files of one length, in random order."""

    group: int
    videos: dict[Version, bytes]


def encoded_videos(
    layout: Layout, rng: random.Random, random_bytes: RandomBytes, progress: Progress
) -> Iterator[Encoded]:
    """Yield the videos of all groups, in random order, so that the order tells nothing. Raise
    VideoError for a video that does not decode."""
    gold = defaultdict(list)
    for index, damaged in enumerate(layout.gold):
        gold[damaged.group].append(index)
    order = list(range(len(layout.groups)))
    rng.shuffle(order)

    def encode_group(group: int) -> Encoded:
        clips = _clips(layout, group, gold[group])
        fps = layout.formats[group].fps
        videos = equally_long([encode(frames, fps, layout.crf) for frames in clips.values()],
                              random_bytes)
        return Encoded(group, dict(zip(clips, videos, strict=True)))

    workers = usable_cores()
    done, remaining = 0, iter(order)
    with ThreadPoolExecutor(workers) as pool:
        while batch := list(islice(remaining, 4 * workers)):  # so much is held in memory
            for encoded in pool.map(encode_group, batch):
                done += 1
                progress("encoding videos", done, len(order))
                versions = list(encoded.videos)
                rng.shuffle(versions)
                yield Encoded(encoded.group,
                              {version: encoded.videos[version] for version in versions})


def _clips(layout: Layout, group: int, gold: list[int]) -> dict[Version, Pixels]:
    """Return the frames of all versions of a group's videos."""
    def frames(index: int, model: int) -> Pixels:
        return load_clip(layout.groups[index].videos[model], layout.reconcile)[0]

    clips: dict[Version, Pixels] = {
        ("", model): frames(group, model) for model in range(len(layout.models))
    }
    for index in gold:
        clips[layout.gold[index].kind, index] = layout.gold[index].frames(frames)
    return clips


def encoded_images(layout: Layout, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield (image id, PNG) of every image once, at the size of its videos, in random order."""
    first: dict[str, int] = {}
    for index, group in enumerate(layout.groups):
        first.setdefault(group.pair.image_id, index)
    images = list(first.items())
    rng.shuffle(images)
    for image_id, index in images:
        size = layout.formats[index].height, layout.formats[index].width
        image = FITS[layout.reconcile.fit](read_image(layout.groups[index].image), *size)
        yield image_id, _written("image.png", partial(write_image, image=image))


def encode(frames: Pixels, fps: float, crf: int = CRF) -> bytes:
    """Encode (F, H, W, 3) as MP4."""
    return _written("video.mp4", lambda path: write_video(path, frames, fps, crf=crf))


def _written(name: str, write: Callable[[Path], object]) -> bytes:
    with TemporaryDirectory(prefix="motifocal-") as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def equally_long(videos: Sequence[bytes], random_bytes: RandomBytes) -> list[bytes]:
    """Pad MP4 files to one length, a little above that of the longest.

    The size of a video grows with its motion, and would name the model that moves more. The
    padding is a `free` box at the end, which players skip; its bytes are random, so that
    compression on the way does not undo it.
    """
    longest = max(map(len, videos))
    return [video + struct.pack(">I4s", longest - len(video) + _BOX, b"free")
            + random_bytes(longest - len(video)) for video in videos]
