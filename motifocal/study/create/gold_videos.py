"""Choose gold items, whose answer is known: an original video beside a manipulated one.

F frames, H W pixels. Frames are (F, H, W, 3) uint8 RGB. Four kinds, see `votes.GOLD`; a "repeat"
needs no video of its own and is not made here.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise

import numpy as np

from motifocal.media.picture import Pixels
from motifocal.motion.change import motion_evidence
from motifocal.motion.flow import estimate_flow
from motifocal.motion.settings import NOISE
from motifocal.study.create.matching import Group

# A pixel moves at one pixel a frame in an image of 320; a video really moves if so large a part
# of it does, on average over its frames.
LEAST_SPEED = 1 / 320
LEAST_SHARE = 0.05
LEAST_DIFFERENCE = 4.0  # grey levels, mean, between videos of two prompts that were listened to
FEWEST_FRAMES = 4  # that can be shuffled so that it shows
DECODED = 64  # clips kept while gold items are chosen

Clips = Callable[[int, int], Pixels]  # (group, model) -> frames


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
    """Choose up to `per_kind` items of each kind, of all models and many images.

    Only videos that really move are taken, and only other prompts' videos that look different: else
    there would be no right answer. `read(group, model)` gives a video's frames.
    """
    clips = lru_cache(maxsize=DECODED)(read)
    chosen: list[Damaged] = []
    for kind in kinds:
        made = (_damaged(kind, groups, clips, group, model, rng)
                for group, model in _spread(groups, models, rng))
        chosen += islice(filter(None, made), per_kind)
    return chosen


def _spread(
    groups: Sequence[Group], models: int, rng: random.Random
) -> list[tuple[int, int]]:
    """Return all videos as (group, model) in random order, every image once before any comes
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


def _damaged(
    kind: str, groups: Sequence[Group], clips: Clips, group: int, model: int, rng: random.Random
) -> Damaged | None:
    """Make a gold item of one video; None where it cannot be."""
    if kind == "other_sentence":
        return _other_prompt(groups, clips, group, model, rng)
    frames = clips(group, model)
    if (kind == "shuffled" and len(frames) < FEWEST_FRAMES) or moving_share(frames) < LEAST_SHARE:
        return None
    # A still video is its first frame repeated: the image as the model draws it.
    order = (0,) * len(frames) if kind == "still" else shuffled_order(len(frames), rng)
    return Damaged(kind, group, model, group, order)


def _other_prompt(
    groups: Sequence[Group], clips: Clips, group: int, model: int, rng: random.Random
) -> Damaged | None:
    here = groups[group]
    others = [index for index, other in enumerate(groups)
              if other.pair.image_id == here.pair.image_id and other.seed == here.seed
              and other.pair.stem != here.pair.stem]
    rng.shuffle(others)
    frames = clips(group, model)
    for other in others:
        theirs = clips(other, model)
        if theirs.shape == frames.shape and (
                np.abs(frames.astype(np.int16) - theirs).mean() >= LEAST_DIFFERENCE):  # fmt: skip
            return Damaged("other_sentence", group, model, other, tuple(range(len(theirs))))
    return None
