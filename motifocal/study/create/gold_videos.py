"""Choose gold items, whose answer is known: a whole video beside a damaged one.

F frames, H W pixels. Frames are (F, H, W, 3) uint8 RGB. Four kinds, see `votes.GOLD`; a "repeat"
needs no video of its own and is not made here.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from types import MappingProxyType

import numpy as np

from motifocal.media.picture import Pixels
from motifocal.motion.change import motion_evidence
from motifocal.motion.flow import estimate_flow
from motifocal.motion.settings import NOISE
from motifocal.study.create.matching import Group

# A pixel moves at one pixel a frame in a picture of 320; a video really moves if so large a part
# of it does, on average over its frames.
LEAST_SPEED = 1 / 320
LEAST_SHARE = 0.05
LEAST_DIFFERENCE = 4.0  # grey levels, mean, between videos of two sentences that were listened to
FEWEST_FRAMES = 4  # that can be shuffled so that it shows
DECODED = 64  # clips kept while gold items are chosen

Clips = Callable[[int, int], Pixels]


@dataclass(frozen=True)
class Damaged:
    """A gold item: the video of `model` in group `group`, beside its damaged version.

    `other` is the group that the damaged version is taken from; `order` the order of its frames.
    """

    kind: str
    group: int
    model: int
    other: int
    order: tuple[int, ...]

    def frames(self, clips: Clips) -> Pixels:
        """Return the damaged version, (F, H, W, 3)."""
        return clips(self.other, self.model)[list(self.order)]


def choose_gold(
    groups: Sequence[Group], kinds: Sequence[str], per_kind: int, models: int, read: Clips,
    rng: random.Random,
) -> list[Damaged]:  # fmt: skip
    """Choose up to `per_kind` items of each kind (repeats aside), of all models and many pictures.

    `read(group, model)` gives a video's frames. Only videos that really move are taken, and only
    other sentences' videos that look different: else there would be no right answer.
    """
    clips = lru_cache(maxsize=DECODED)(read)
    chosen: list[Damaged] = []
    for kind in kinds:
        if kind in MAKERS:
            candidates = _spread(groups, models, rng)
            made = (damaged for group, model in candidates
                    for damaged in MAKERS[kind](groups, clips, group, model, rng))
            chosen += islice(made, per_kind)
    return chosen


def _spread(
    groups: Sequence[Group], models: int, rng: random.Random
) -> list[tuple[int, int]]:
    """Return all videos as (group, model) in random order, every picture once before any comes
    twice."""
    videos = [(group, model) for group in range(len(groups)) for model in range(models)]
    rng.shuffle(videos)
    before: Counter[str] = Counter()
    rounds = []
    for group, _ in videos:
        rounds.append(before[groups[group].pair.image_id])
        before[groups[group].pair.image_id] += 1
    return [video for _, video in sorted(zip(rounds, videos, strict=True),
                                         key=lambda pair: pair[0])]


def moving_share(frames: Pixels) -> float:
    """Return the share of the pixels that move visibly, over all frames: 0 to 1."""
    if len(frames) < 2:
        return 0.0
    flow = estimate_flow(frames)
    speed = np.hypot(flow[:, 0], flow[:, 1]) / max(frames.shape[1:3])
    return float((motion_evidence(frames, NOISE) & (speed >= LEAST_SPEED)).mean())


def shuffled_order(frames: int, rng: random.Random) -> tuple[int, ...]:
    """Draw an order of the frames in which none follows its predecessor; the first stays.

    Raises ValueError for fewer than 4 frames, of which there is none.
    """
    if frames < FEWEST_FRAMES:
        raise ValueError(f"frames should be at least {FEWEST_FRAMES}, got {frames}")
    rest = list(range(1, frames))
    while True:  # every third order will do
        rng.shuffle(rest)
        order = (0, *rest)
        if all(after != before + 1 for before, after in pairwise(order)):
            return order


def _still(
    groups: Sequence[Group], clips: Clips, group: int, model: int, rng: random.Random
) -> Iterator[Damaged]:
    """Repeat the video's first frame: the picture as the model draws it."""
    frames = clips(group, model)
    if moving_share(frames) >= LEAST_SHARE:
        yield Damaged("still", group, model, group, (0,) * len(frames))


def _shuffled(
    groups: Sequence[Group], clips: Clips, group: int, model: int, rng: random.Random
) -> Iterator[Damaged]:
    frames = clips(group, model)
    if len(frames) >= FEWEST_FRAMES and moving_share(frames) >= LEAST_SHARE:
        yield Damaged("shuffled", group, model, group, shuffled_order(len(frames), rng))


def _other_sentence(
    groups: Sequence[Group], clips: Clips, group: int, model: int, rng: random.Random
) -> Iterator[Damaged]:
    here = groups[group]
    others = [index for index, other in enumerate(groups)
              if other.pair.image_id == here.pair.image_id and other.seed == here.seed
              and other.pair.stem != here.pair.stem]
    rng.shuffle(others)
    frames = clips(group, model)
    for other in others:
        theirs = clips(other, model)
        if theirs.shape == frames.shape and _difference(frames, theirs) >= LEAST_DIFFERENCE:
            yield Damaged("other_sentence", group, model, other, tuple(range(len(theirs))))
            return


def _difference(frames: Pixels, others: Pixels) -> float:
    return float(np.abs(frames.astype(np.int16) - others).mean())


Maker = Callable[[Sequence[Group], Clips, int, int, random.Random], Iterator[Damaged]]
#: How each kind is made of one video; nothing comes where it cannot be.
MAKERS: Mapping[str, Maker] = MappingProxyType(
    {"still": _still, "shuffled": _shuffled, "other_sentence": _other_sentence}
)
