"""Give the frames of a clip that published trainers train on, with rate, size and crop.

H W are pixels of the clip as stored. Each fact is from the trainer's own code; the comment names
the file and the version that was read. docs/bridges.md says how each was checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from motifocal.data.selection import FrameRule, Selection, Timeline, resampled, selected
from motifocal.media.frame_pixels import Display

Bucket = tuple[int, int, int]


@dataclass(frozen=True)
class Request:
    """The settings of a trainer that decide which frames it takes; each reads those it has.

    buckets: (frames, height, width), at least one, as the trainer's own buckets, target frames
        and resolution, or num_frames, height and width say.
    extraction, step, samples: musubi-tuner's frame_extraction, frame_stride, frame_sample.
    fps: the rate to resample to. musubi-tuner's is fixed by the model (``MUSUBI_FPS``) and used
        only together with ``source_fps``, the rate that its configuration says clips have.
    bucketed: musubi-tuner's enable_bucket: the size follows the clip's shape.
    later: pixel frames in a later latent: 4, or 8 for LTX.
    max_pixels: DiffSynth-Studio's: each clip keeps its own size, reduced to at most so many pixels
        and rounded down to multiples of ``division``; heights and widths of buckets are not read.
    division: its height_division_factor and width_division_factor.
    """

    buckets: tuple[Bucket, ...]
    extraction: str = "head"
    step: int = 1
    samples: int = 1
    fps: float | None = None
    source_fps: float | None = None
    bucketed: bool = True
    later: int = 4
    max_pixels: int | None = None
    division: int = 16

    def __post_init__(self) -> None:
        if not self.buckets or any(len(b) != 3 or min(b) < 1 for b in self.buckets):
            raise ValueError(
                f"buckets should be (frames, height, width), at least one, got {self.buckets}"
            )
        if self.max_pixels is not None and self.max_pixels < self.division**2:
            raise ValueError(f"max_pixels should be at least {self.division**2}, got "
                             f"{self.max_pixels}")


@dataclass(frozen=True)
class Trainer:
    """How a published trainer takes samples.

    samples: clip's timeline, its height and width, the request -> what is trained on.
    reads: the settings of a Request that it has, "buckets" where it takes more than one.
    upright: whether it turns a clip as its display matrix says.
    as_shown: whether it makes pixels square and HDR SDR, and puts what is transparent on white, as
        Motifocal's own reader does.
    """

    title: str
    samples: Callable[[Timeline, int, int, Request], list[Selection]]
    reads: frozenset[str]
    upright: bool = True
    as_shown: bool = False


# musubi-tuner, kohya-ss/musubi-tuner: src/musubi_tuner/dataset/image_video_dataset.py (0061e6e),
# media_utils.py (35667084) and bucket.py (6247ca96).

#: Frames a second that each of its models is trained at: VideoDataset.TARGET_FPS_*.
MUSUBI_FPS = {"wan": 16.0, "hv": 24.0, "hv15": 24.0, "fp": 30.0, "k5": 24.0}
_MUSUBI_STEP = 16  # every bucket's side is a multiple: BucketSelector.RESOLUTION_STEPS_*


def musubi_rules(request: Request) -> list[FrameRule]:
    """Make one rule for each of target_frames, rounded down to 4 k + 1; one alone for "full"."""
    lengths = sorted({(frames - 1) // 4 * 4 + 1 for frames, _, _ in request.buckets})
    # Its "uniform" of one sample is "head".
    single = request.extraction == "uniform" and request.samples == 1
    rule = "head" if single else request.extraction
    if rule == "full":
        lengths = [max(frames for frames, _, _ in request.buckets)]  # max_frames
    if rule == "head" and request.fps and request.source_fps and request.source_fps < request.fps:
        # "head" stops reading where the longest would end at the wanted rate. A clip that is
        # slower has fewer frames until there, as none is repeated.
        reached = math.ceil(lengths[-1] * request.source_fps / request.fps)
        lengths = [frames for frames in lengths if frames <= reached]
    return [_musubi_rule(request, rule, frames) for frames in lengths]


def _musubi_rule(request: Request, rule: str, frames: int) -> FrameRule:
    if request.source_fps is not None and request.fps is None:
        raise ValueError("fps should be the model's (MUSUBI_FPS) beside source_fps, got None")
    fps = None if request.source_fps is None else request.fps
    return FrameRule(rule, frames, fps, request.step, request.samples,
                     resampling="declared", source_fps=request.source_fps)  # fmt: skip


def musubi_bucket(height: int, width: int, target: tuple[int, int]) -> tuple[int, int]:
    """Return the bucket's size for a clip's size and a target (height, width): BucketSelector.

    The bucket of about the target's area whose width / height is nearest to the clip's. Caches
    made before the change #1100 always have it, also with enable_bucket = false. Raises ValueError
    for a target too small to make any.
    """
    area = target[0] * target[1]
    side, step = int(math.sqrt(area)), _MUSUBI_STEP
    sides = range(max(step, side // 2 // step * step), side + step, step)
    pairs = [(wide, area // wide // step * step) for wide in sides]
    if not all(tall for _, tall in pairs):
        raise ValueError(f"{target[0]}x{target[1]} is too small for musubi-tuner's buckets")
    buckets = sorted({*pairs, *((tall, wide) for wide, tall in pairs)})
    wide, tall = min(buckets, key=lambda bucket: abs(bucket[0] / bucket[1] - width / height))
    return tall, wide


def _musubi(timeline: Timeline, height: int, width: int, request: Request) -> list[Selection]:
    size = request.buckets[0][1:]
    if request.bucketed:
        size = musubi_bucket(height, width, size)
    rules = musubi_rules(request)
    return [selection for rule in rules for selection in selected(timeline, rule, *size, "half-up")]


# The LTX-2 trainer, Lightricks/LTX-2: packages/ltx-trainer/scripts/process_videos.py (29aff0b6):
# MediaDataset._get_resolution_bucket_for_item, _preprocess_video, _resize_and_crop ("center").


def ltx_bucket(count: int, height: int, width: int, buckets: Sequence[Bucket]) -> Bucket | None:
    """Choose the bucket nearest in shape among those short enough, then the longest, the largest.

    None where every bucket is longer than the clip: it is left out.
    """

    def distance(bucket: Bucket) -> tuple[float, int, int]:
        frames, tall, wide = bucket
        return abs(math.log(width / height) - math.log(wide / tall)), -frames, -(tall * wide)

    fitting = [bucket for bucket in buckets if bucket[0] <= count]
    return min(fitting, key=distance) if fitting else None


def _ltx(timeline: Timeline, height: int, width: int, request: Request) -> list[Selection]:
    bucket = ltx_bucket(len(timeline.starts), height, width, request.buckets)
    if bucket is None:
        return []
    return selected(timeline, FrameRule("head", bucket[0], later=8), *bucket[1:], "floor")


# DiffSynth-Studio, modelscope/DiffSynth-Studio: diffsynth/core/data/operators.py (2.1.12):
# FrameSamplerByRateMixin, LoadVideo, ImageCropAndResize. What it takes from imageio comes from
# FFmpeg's printed lines.


def diffsynth_size(height: int, width: int, request: Request) -> tuple[int, int]:
    """Return the height and width that a clip is trained at: get_height_width.

    A side may be 0, where the clip is smaller than ``division``.
    """
    if request.max_pixels is None:
        return request.buckets[0][1:]
    if height * width > request.max_pixels:
        scale = (width * height / request.max_pixels) ** 0.5
        height, width = int(height / scale), int(width / scale)
    division = request.division
    return height // division * division, width // division * division


def _diffsynth(timeline: Timeline, height: int, width: int, request: Request) -> list[Selection]:
    size = diffsynth_size(height, width, request)
    if not min(size):
        return []
    frames = request.buckets[0][0]
    rule = FrameRule("cut", frames, request.fps, later=request.later, resampling="rounded")
    return selected(timeline, rule, *size, "even")


# finetrainers, a-r-r-o-w/finetrainers: finetrainers/functional/video.py (0.2.0):
# find_nearest_video_resolution, resize_to_nearest_bucket_video, reshape_mode "bicubic".


def _finetrainers(
    timeline: Timeline, height: int, width: int, request: Request
) -> list[Selection]:
    count = len(timeline.starts)
    lengths = [frames for frames, _, _ in request.buckets]
    fitting = [frames for frames in lengths if frames <= count]
    # Where all are longer, the shortest of them gives the size, and the clip stays as short.
    length = max(fitting) if fitting else min(lengths)

    def distance(bucket: Bucket) -> tuple[float, int, int]:
        _, tall, wide = bucket
        return abs(wide / tall - width / height), -tall, -wide

    _, tall, wide = min((b for b in request.buckets if b[0] == length), key=distance)
    return selected(timeline, FrameRule("spread", length), tall, wide, "stretch")


# CogVideoX's LoRA scripts, huggingface/diffusers: examples/cogvideo/train_cogvideox_lora.py
# (02303d1c): VideoDataset._preprocess_data, video_reshape_mode "center", nothing skipped.


def _cogvideox(timeline: Timeline, height: int, width: int, request: Request) -> list[Selection]:
    frames, tall, wide = request.buckets[0]
    return selected(timeline, FrameRule("stride", frames), tall, wide, "floor")


def _plain(timeline: Timeline, height: int, width: int, request: Request) -> list[Selection]:
    """Select frames as Motifocal itself reads a clip, for any loop of one's own."""
    frames, tall, wide = request.buckets[0]
    rule = FrameRule(
        request.extraction, frames, request.fps, request.step, request.samples, request.later
    )
    return selected(timeline, rule, tall, wide)


_RULE = frozenset({"extraction", "step", "samples", "fps"})
_BUCKETS = frozenset({"buckets"})

# musubi-tuner and the LTX-2 trainer decode with PyAV, which leaves the display matrix alone.
# Neither they, nor decord and imageio in the others, make pixels square, bring HDR to SDR or
# composite what is transparent.
TRAINERS: dict[str, Trainer] = {
    "plain": Trainer("a loop of your own", _plain, _RULE, as_shown=True),
    "musubi": Trainer("musubi-tuner", _musubi, _RULE | _BUCKETS | {"source_fps"}, upright=False),
    "ltx": Trainer("the LTX-2 trainer", _ltx, _BUCKETS, upright=False),
    "diffsynth": Trainer("DiffSynth-Studio", _diffsynth, frozenset({"fps", "max_pixels"})),
    "finetrainers": Trainer("finetrainers", _finetrainers, _BUCKETS),
    "cogvideox-lora": Trainer("diffusers' CogVideoX LoRA scripts", _cogvideox, frozenset()),
}


def misread(trainer: Trainer, display: Display) -> str | None:
    """Say what a trainer ignores of how a clip is to be shown; None where that is nothing."""
    if display.turned and not trainer.upright:
        return ("is stored turned or mirrored, with a display matrix that the trainer does not "
                "read; write it upright (ffmpeg does so when it encodes)")  # fmt: skip
    if display.transfer and not trainer.as_shown:
        return (f"is HDR ({display.transfer}), which the trainer reads as if it were not; "
                "write it as SDR")  # fmt: skip
    if display.aspect != 1 and not trainer.as_shown:
        return (f"has pixels of {display.aspect_ratio}, which the trainer takes for square; "
                "write it with square ones (ffmpeg -vf scale=iw*sar:ih,setsar=1)")  # fmt: skip
    if display.transparent and not trainer.as_shown:
        return ("has transparency, which the trainer drops, to train on the colours beneath it; "
                "write it on a plain background, without an alpha channel")  # fmt: skip
    return None


def ignored_settings(trainer: str, request: Request) -> list[str]:
    """List the settings that were given and that the trainer does not have."""
    plain = Request(request.buckets[:1])
    names = ("buckets", "extraction", "step", "samples", "fps", "source_fps", "max_pixels")
    asked = [name for name in names if getattr(request, name) != getattr(plain, name)]
    return [name for name in asked if name not in TRAINERS[trainer].reads]


def trained_on(
    trainer: str, timeline: Timeline, height: int, width: int, request: Request
) -> list[Selection]:
    """Return the samples that a trainer makes of a clip; none where it is too short.

    Raises ValueError for an unknown trainer, VideoError as `selection.selected` does.
    """
    if trainer not in TRAINERS:
        raise ValueError(f"trainer should be one of {', '.join(TRAINERS)}, got {trainer!r}")
    return TRAINERS[trainer].samples(timeline, height, width, request)


def musubi_frames(
    timeline: Timeline, request: Request, start: int, frames: int
) -> tuple[int, ...]:
    """Return the stored frames that musubi-tuner's sample ``start``-``frames`` is made of.

    Raises ValueError where the clip, at the request's rate, ends before the last of them.
    """
    indices, _ = resampled(timeline, _musubi_rule(request, "head", frames))
    if start + frames > len(indices):
        length = f"the clip has {len(indices)} at that rate"
        raise ValueError(f"frames {start}-{start + frames - 1} are wanted, {length}")
    return tuple(indices[start : start + frames])
