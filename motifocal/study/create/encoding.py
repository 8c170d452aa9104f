"""A layout's videos and pictures become bytes, all videos alike, a group at a time.

F frames, H W pixels.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from motifocal.media.picture import Pixels
from motifocal.motion.flow import usable_cores
from motifocal.study.create.layout import Layout
from motifocal.study.create.matching import load, shown_picture
from motifocal.study.create.media import RandomBytes, encode, encode_picture, equally_long

Doing = Callable[[str, int, int], object]
#: Which video of a group: ("", model), or (kind of gold, its index in the layout).
Version = tuple[str, int]


@dataclass(frozen=True)
class Encoded:
    """The videos of one group, damaged ones too: files of one length, in random order."""

    group: int
    videos: dict[Version, bytes]


def encoded_videos(
    layout: Layout, rng: random.Random, random_bytes: RandomBytes, doing: Doing
) -> Iterator[Encoded]:
    """The videos of all groups, the groups in random order too: nothing follows from what comes
    first. Raises VideoError for a video that does not decode."""
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
                doing("encoding videos", done, len(order))
                versions = list(encoded.videos)
                rng.shuffle(versions)
                yield Encoded(encoded.group,
                              {version: encoded.videos[version] for version in versions})


def _clips(layout: Layout, group: int, gold: list[int]) -> dict[Version, Pixels]:
    """The frames of all versions of a group's videos."""
    def frames(index: int, model: int) -> Pixels:
        return load(layout.groups[index].videos[model], layout.reconcile)[0]

    clips: dict[Version, Pixels] = {
        ("", model): frames(group, model) for model in range(len(layout.models))
    }
    for index in gold:
        clips[layout.gold[index].kind, index] = layout.gold[index].frames(frames)
    return clips


def encoded_pictures(layout: Layout, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """(image id, PNG) of every picture once, at the size of its videos, in random order."""
    first: dict[str, int] = {}
    for index, group in enumerate(layout.groups):
        first.setdefault(group.pair.image_id, index)
    pictures = list(first.items())
    rng.shuffle(pictures)
    for image_id, index in pictures:
        size = layout.formats[index].height, layout.formats[index].width
        yield image_id, encode_picture(
            shown_picture(layout.groups[index], size, layout.reconcile.fit))
