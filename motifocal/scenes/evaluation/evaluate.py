"""Score videos of the synthetic scenes: does each follow its prompt?

Letters: F frames, H W pixels, N prompts of an image. Frames are (F, H, W, 3) uint8 RGB, a
region is (H, W) bool. An image and a prompt fix the video, so a made video can be compared with
the true clips of all prompts, without people and without learned weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from motifocal.files.names import slug
from motifocal.media.arrays import Frames, Image
from motifocal.media.video import resize_crop
from motifocal.metrics import mean_squared_error, psnr, ssim
from motifocal.scenes.drawing.draw import PALETTE
from motifocal.scenes.render import FRAMES, first_image, render
from motifocal.scenes.stage import SCENARIOS, is_held_out, make_stage
from motifocal.scenes.variant import STANDARD, SceneVariant
from motifocal.scenes.world import Action, Stage

Region = npt.NDArray[np.bool_]

NAMED, ENTERS, OTHER = "names one of several", "a new object enters", "one object"
KINDS = (NAMED, ENTERS, OTHER)


@dataclass(frozen=True)
class EvalPair:
    """One image of the evaluation, `size` pixels wide, and one of its prompts."""

    scenario: str
    seed: int
    action: int
    prompt: str
    kind: str
    held_out: bool
    size: int
    variant: SceneVariant = STANDARD

    @property
    def image_id(self) -> str:
        """What names the image, as in TI2V-Bench: the scenario and a number."""
        return f"{self.scenario}{self.seed}"

    def file(self, sample: int = 0) -> str:
        """Return the name of this pair's video for sampling seed `sample`, as in TI2V-Bench."""
        return f"{self.image_id}_{slug(self.prompt)}_{sample}.mp4"

    def stage(self) -> Stage:
        """Return the stage that is drawn."""
        return make_stage(self.scenario, "eval", self.seed, self.variant)

    def image(self) -> Image:
        """Return the image to animate, (size, size, 3) uint8."""
        return first_image(self.stage(), self.size)


@dataclass(frozen=True)
class Truth:
    """All that can happen to one image: still (H, W, 3), one clip per prompt, where they move.

    `region` is the union of the true masks over all prompts and all frames, `masks` those of each
    prompt, (F, H, W).
    """

    still: Image
    clips: tuple[Frames, ...]
    region: Region
    masks: tuple[Region, ...]

    def stands_still(self) -> Frames:
        """Return the image repeated, as long as the clips."""
        return np.repeat(self.still[None], len(self.clips[0]), axis=0)


@dataclass(frozen=True)
class Score:
    """One video, judged.

    `follows` is 1.0 or 0.0; `stands_still` is 1.0 where the still image is nearest. `psnr` (dB)
    and `ssim` compare frame 0 with the image; `background_psnr` all frames with the image
    outside the moving region; `motion` is the change inside it over that of the true clip.

    In 8-bit levels: `moving_error` is the root mean squared difference from the true clip inside
    the moving region, over all frames; `colour_error` how far the mean colour of the pixels that
    the true clip's mask holds is from what it is there, which a small shift leaves as it is: over
    the frames with a mask and the three colours the mean of the absolute difference.
    """

    follows: float
    stands_still: float
    psnr: float
    ssim: float
    background_psnr: float
    motion: float
    moving_error: float
    colour_error: float


Reference = Callable[[Truth, int], Frames]
REFERENCES: Mapping[str, Reference] = MappingProxyType({
    "still image": lambda truth, action: truth.stands_still(),
    "truth": lambda truth, action: truth.clips[action],
})


@dataclass(frozen=True)
class Scored:
    """Every pair that has a video, its scores by name (`made` first), and the files without one."""

    pairs: tuple[EvalPair, ...]
    chance: tuple[float, ...]
    scores: Mapping[str, tuple[Score, ...]]
    missing: tuple[str, ...]


def kind_of(action: Action) -> str:
    """Which of `KINDS` a prompt is: the hard ones name one of several, or bring a new object."""
    if action.facts[1] in PALETTE and set(action.moves) == {action.facts[1]}:
        return NAMED
    return ENTERS if action.facts[2].startswith("enter") else OTHER


def eval_pairs(
    count: int = 320, size: int = 64, variant: SceneVariant = STANDARD
) -> list[EvalPair]:
    """Return the first `count` pairs of the evaluation: every prompt of as many images as fit.

    Rounds of one image per scenario, evaluation seeds 0, 1, ...; odd seeds show combinations that
    training never draws. The last round takes the images whose prompts fill it best, and only where
    no choice fills it is one image left with a part of its prompts. A variant changes the images,
    not the pairs. Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"count should be at least 1, got {count}")
    pairs: list[EvalPair] = []
    seed = 0
    while len(pairs) < count:
        images = [_pairs_of(scenario, seed, size, variant) for scenario in sorted(SCENARIOS)]
        left = count - len(pairs)
        chosen = _filling([len(prompts) for prompts in images], left)
        pairs += [pair for index in chosen for pair in images[index]]
        if len(chosen) < len(images) and len(pairs) < count:
            rest = next(p for i, p in enumerate(images) if i not in chosen)
            pairs += rest[: count - len(pairs)]
        seed += 1
    return pairs


def _filling(sizes: Sequence[int], room: int) -> list[int]:
    """Indices of sizes whose sum comes nearest to `room` from below, the earliest ones first."""
    reached: dict[int, list[int]] = {0: []}
    for index, size in enumerate(sizes):
        for total, chosen in list(reached.items()):
            if total + size <= room and total + size not in reached:
                reached[total + size] = [*chosen, index]
    return reached[max(reached)]


def _pairs_of(scenario: str, seed: int, size: int, variant: SceneVariant) -> list[EvalPair]:
    stage = make_stage(scenario, "eval", seed, variant)
    held_out = is_held_out(scenario, stage.colour, stage.background)
    return [EvalPair(scenario, seed, k, action.sentence, kind_of(action), held_out, size, variant)
            for k, action in enumerate(stage.actions)]


def truth_of(stage: Stage, *, size: int = 64, frames: int = FRAMES) -> Truth:
    """Render what every prompt of a stage does, camera at rest.

    On a living background image and clips show the same residue, and the region is that of what
    the prompts move.
    """
    clips = [render(stage, action, size=size, frames=frames) for action in stage.actions]
    masks = tuple(clip.mask for clip in clips)
    region = np.logical_or.reduce([mask.any(axis=0) for mask in masks])
    return Truth(first_image(stage, size), tuple(clip.frames for clip in clips), region, masks)


def truth_of_pair(pair: EvalPair, frames: int = FRAMES) -> Truth:
    """What every prompt of this pair's image does; kept for the image's next prompt."""
    return _truth(pair.scenario, pair.seed, pair.size, pair.variant, frames)


@lru_cache(maxsize=4)
def _truth(scenario: str, seed: int, size: int, variant: SceneVariant, frames: int) -> Truth:
    return truth_of(make_stage(scenario, "eval", seed, variant), size=size, frames=frames)


def fit(frames: Frames, count: int, size: int) -> Frames:
    """Return another tool's video as `count` frames of `size` pixels: (count, size, size, 3).

    Frames are picked evenly from the first to the last one (nearest, repeated where there are
    fewer); the image is scaled until it covers the square and its centre is kept.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) < 1:
        raise ValueError(f"frames should be (F, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    picked = np.rint(np.linspace(0, len(frames) - 1, count)).astype(int)
    return resize_crop(frames[picked], size, size)


def follows_text(
    frames: Frames, truths: Sequence[Frames], still: Image, prompt: int, region: Region
) -> tuple[bool, int]:
    """Return whether the true clip of prompt number `prompt` is nearest, and which one is.

    The distance is the mean squared error inside `region` over all frames. The candidates are the
    N true clips, numbered as given, and the still image (H, W, 3), number N. A tie with another
    candidate does not follow. Raises ValueError for shapes that do not fit or an empty region.
    """
    if not 0 <= prompt < len(truths):
        raise ValueError(f"prompt should be from 0 to {len(truths) - 1}, got {prompt}")
    if any(truth.shape != frames.shape for truth in truths) or frames.shape[1:] != still.shape:
        shapes = [still.shape, *{truth.shape for truth in truths}]
        raise ValueError(f"still and truths should fit frames {frames.shape}, got {shapes}")
    if region.shape != still.shape[:2] or not region.any():
        given = f"{region.shape} with {int(region.sum())} pixels"
        raise ValueError(f"region should be {still.shape[:2]} and not empty, got {given}")
    made = frames[:, region].astype(np.float32)
    distances = [mean_squared_error(made, truth[:, region]) for truth in (*truths, still[None])]
    nearest = int(np.argmin(distances))
    tied = sum(distance <= distances[prompt] for distance in distances) > 1
    return nearest == prompt and not tied, nearest


def judge(frames: Frames, truth: Truth, prompt: int) -> Score:
    """Score one video (F, H, W, 3) of the prompt number `prompt` against what is true."""
    follows, nearest = follows_text(frames, truth.clips, truth.still, prompt, truth.region)
    outside = ~truth.region
    background = psnr(frames[:, outside], truth.still[outside]) if outside.any() else float("nan")
    true, region = truth.clips[prompt], truth.region
    motion = _change(frames, region) / _change(true, region)
    error = mean_squared_error(frames[:, region].astype(np.float32), true[:, region])
    return Score(float(follows), float(nearest == len(truth.clips)), psnr(frames[0], truth.still),
                 ssim(frames[0], truth.still), background, motion, float(np.sqrt(error)),
                 _colour_error(frames, true, truth.masks[prompt]))


def _change(frames: Frames, region: Region) -> float:
    """Root mean squared difference from the first frame inside the region."""
    inside = frames[:, region].astype(np.float32)
    return float(np.sqrt(np.mean(np.square(inside[1:] - inside[:1]))))


def _colour_error(frames: Frames, true: Frames, masks: Region) -> float:
    """Mean difference of the mean colours inside the mask of each frame, where it holds pixels."""
    errors = [np.abs(made[mask].mean(0) - clip[mask].mean(0)).mean()
              for made, clip, mask in zip(frames, true, masks, strict=True) if mask.any()]
    return float(np.mean(errors))


def score(
    videos: Iterable[tuple[EvalPair, Frames]], pairs: Sequence[EvalPair], *, frames: int = FRAMES,
    references: Mapping[str, Reference] = REFERENCES, allow_missing: bool = False,
) -> Scored:
    """Judge a video for every pair, and beside it the reference videos on the very same pairs.

    Videos come one by one, best in the order of `pairs`; other sizes and lengths are fitted
    (`fit`). Raises ValueError when a pair has no video (unless `allow_missing`, which lists them
    in the result), has two, or is none of `pairs`.
    """
    rows: dict[EvalPair, dict[str, Score]] = {}
    chance: dict[EvalPair, float] = {}
    expected = set(pairs)
    for pair, video in videos:
        if pair not in expected or pair in rows:
            fault = "came twice" if pair in rows else "is none of the pairs to score"
            raise ValueError(f"the video for {pair.file()} {fault}")
        truth = truth_of_pair(pair, frames)
        clips = {"made": fit(video, frames, pair.size)}
        clips |= {name: reference(truth, pair.action) for name, reference in references.items()}
        rows[pair] = {name: judge(clip, truth, pair.action) for name, clip in clips.items()}
        chance[pair] = 1 / (len(truth.clips) + 1)
    missing = tuple(pair.file() for pair in pairs if pair not in rows)
    if (missing and not allow_missing) or not rows:
        first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ValueError(f"{len(missing)} of {len(pairs)} videos are missing: {first}")
    done = tuple(pair for pair in pairs if pair in rows)
    scores = {name: tuple(rows[p][name] for p in done) for name in ("made", *references)}
    return Scored(done, tuple(chance[p] for p in done), scores, missing)
