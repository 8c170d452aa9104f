"""Options for the frames of a clip that are trained on: rate, size, and the trainer's rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import RATE, F, Size, check_multiples, together

if TYPE_CHECKING:
    from motifocal.data.trainer_rules import Request

MOST_PIXELS = 2**27  # of a sample, all frames together: some 5 GB while its motion is measured

# The names in data/trainer_rules.py, data/selection.py and loss/latent_grid.py, which are too slow
# to load here.
TRAINERS = ("plain", "musubi", "ltx", "diffsynth", "finetrainers", "cogvideox-lora")
EXTRACTIONS = ("head", "chunk", "slide", "uniform", "full")
FAMILIES = ("sd", "svd", "wan", "wan-5b", "cogvideox", "cogvideox-1.5", "ltx", "ltx-2", "hunyuan",
            "hunyuan-1.5", "minimax-h3", "kandinsky-5", "kandinsky-6", "cosmos-2.5", "cosmos-3",
            "sana-video", "motif-video", "skyreels-v1", "skyreels-v2-df", "framepack",
            "helios")  # fmt: skip


# The option of each setting of a Request, and musubi-tuner's names of the families that it trains:
# its rules hold for no other.
_OPTIONS = {"buckets": "--frames", "extraction": "--rule", "step": "--step",
            "samples": "--samples", "fps": "--fps", "source_fps": "--source-fps",
            "max_pixels": "--max-pixels"}  # fmt: skip
_MUSUBI_NAMES = {"wan": "wan", "hunyuan": "hv", "hunyuan-1.5": "hv15", "framepack": "fp",
                 "kandinsky-5": "k5"}  # fmt: skip


def frame_options(*, size: str | None = None, frames: int | None = None) -> Callable[[F], F]:
    """Add --size ... --source-fps; frames have to be given where there is no default."""
    return together(
        click.option("--size", type=Size(), default=size, show_default=True, metavar="HEIGHTxWIDTH",
                     help="Training size; clips are scaled to cover it and cropped."),
        click.option("--max-pixels", type=click.IntRange(1), metavar="PIXELS",
                     help="Like DiffSynth-Studio's --max_pixels, instead of --size: each clip "
                     "keeps its own size, reduced to at most this many pixels."),
        click.option("--frames", type=click.IntRange(1), multiple=True, required=frames is None,
                     default=None if frames is None else (frames,),
                     show_default=None if frames is None else str(frames),
                     help="Frames per sample; with --rule full, the maximum. Repeat the option "
                     "for musubi-tuner's target_frames."),
        click.option("--fps", type=RATE,
                     help="Training frame rate.  [default: every frame as stored]"),
        click.option("--rule", type=click.Choice(EXTRACTIONS), default="head", show_default=True,
                     help="Which frames of a clip: the first (head), consecutive segments "
                     "(chunk), overlapping segments (slide), segments spread evenly (uniform), or "
                     "all (full). For --trainer plain and musubi."),
        click.option("--step", type=click.IntRange(1), default=1, show_default=True,
                     help="Frames from one segment to the next, for --rule slide."),
        click.option("--samples", type=click.IntRange(1), default=1, show_default=True,
                     help="Number of segments, for --rule uniform."),
        click.option("--trainer", type=click.Choice(TRAINERS), default="plain", show_default=True,
                     help="Select, resample and crop frames exactly as this trainer does."),
        click.option("--source-fps", type=RATE,
                     help="source_fps of musubi-tuner's configuration, without which it does not "
                     "resample."),
    )


def request_of(options: dict[str, Any], family: str | None) -> tuple[str, Request]:
    """Take the options of `frame_options` out of a command's: the trainer, and what it would take.

    --max-pixels takes the place of --size. Raises BadParameter, before a clip is touched, for what
    the family cannot hold or the trainer ignores.
    """
    from motifocal.data.trainer_rules import Request
    from motifocal.loss.latent_grid import FAMILIES as GEOMETRIES

    trainer, size, frames, rule, step, samples, fps, source_fps, max_pixels = (
        options.pop(name) for name in ("trainer", "size", "frames", "rule", "step", "samples",
                                       "fps", "source_fps", "max_pixels"))
    # What DiffSynth-Studio's scripts round sides down to, with --max-pixels.
    division = 32 if family in ("ltx", "ltx-2") else 16
    if max_pixels is not None:
        side = math.isqrt(max_pixels) // division * division
        if not side:
            raise click.BadParameter(f"should be at least {division**2}, got {max_pixels}",
                                     param_hint="--max-pixels")
        size = side, side
    later = 8 if trainer == "ltx" else 4
    if family is not None:
        _check_grid(family, size, frames)
        later = GEOMETRIES[family].temporal_stride
    buckets = tuple((count, *size) for count in frames)
    request = Request(buckets, rule, step, samples, fps, source_fps, later=later,
                      max_pixels=max_pixels, division=division)
    return trainer, _resolved(trainer, family, request)


def _check_grid(family: str, size: tuple[int, int], frames: Sequence[int]) -> None:
    """Refuse what the family cannot take, naming the option."""
    from motifocal.loss.latent_grid import FAMILIES as GEOMETRIES

    geometry = GEOMETRIES[family]
    check_multiples(size, geometry.spatial_stride, family)
    for count in frames:
        try:
            geometry.latent_frames(count)
        except ValueError as error:
            raise click.BadParameter(f"{family}: {error}", param_hint="--frames") from error
        if count * size[0] * size[1] > MOST_PIXELS:
            raise click.BadParameter(f"{count} frames of {size[0]}x{size[1]} are too much at once",
                                     param_hint="--frames")  # fmt: skip


def _resolved(trainer: str, family: str | None, request: Request) -> Request:
    """Fill in musubi-tuner's rate; BadParameter for settings that the trainer ignores, and for a
    family that it does not train."""
    from motifocal.data.trainer_rules import MUSUBI_FPS, TRAINERS, ignored_settings, musubi_bucket

    for name in ignored_settings(trainer, request):
        fault = "can be given once for" if name == "buckets" else "is not read by"
        raise click.BadParameter(f"{fault} {TRAINERS[trainer].title}",
                                 param_hint=_OPTIONS[name])  # fmt: skip
    if trainer == "musubi" and family is not None and family not in _MUSUBI_NAMES:
        known = ", ".join(_MUSUBI_NAMES)
        raise click.BadParameter(f"should be one of {known} for musubi-tuner, got {family}",
                                 param_hint="--family")  # fmt: skip
    if trainer == "musubi" and request.bucketed:
        try:
            musubi_bucket(1, 1, request.buckets[0][1:])
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--size") from error
    if trainer != "musubi" or (request.fps is None) == (request.source_fps is None):
        return request
    if request.source_fps is None:
        raise click.BadParameter("musubi-tuner resamples only with --source-fps",
                                 param_hint="--fps")  # fmt: skip
    if family is None:
        raise click.BadParameter("needs --fps or --family", param_hint="--source-fps")
    return replace(request, fps=MUSUBI_FPS[_MUSUBI_NAMES[family]])
