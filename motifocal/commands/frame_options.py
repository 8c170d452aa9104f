"""Options that say which frames of a clip are trained on, at which rate and size, by whose rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from motifocal.commands.size import Size

F = TypeVar("F", bound=Callable[..., Any])

# The names in data/trainers.py, data/selection.py and geometry.py, which are too slow to load here.
TRAINERS = ("plain", "musubi", "ltx", "diffsynth", "finetrainers", "cogvideox-lora")
EXTRACTIONS = ("head", "chunk", "slide", "uniform", "full")
FAMILIES = ("sd", "svd", "wan", "wan-5b", "cogvideox", "cogvideox-1.5", "ltx", "ltx-2", "hunyuan",
            "hunyuan-1.5")  # fmt: skip


def frame_options(*, size: str | None = None, frames: int | None = None) -> Callable[[F], F]:
    """--size ... --source-fps; frames have to be given where there is no default."""
    lengths = None if frames is None else (frames,)
    # fmt: off
    options = (
        click.option("--size", type=Size(), default=size, show_default=True, metavar="HEIGHTxWIDTH",
                     help="Size that is trained on; clips are scaled to cover it and cropped."),
        click.option("--max-pixels", type=click.IntRange(1), metavar="PIXELS",
                     help="DiffSynth-Studio's --max_pixels, instead of --size: each clip keeps its "
                     "own size, reduced to at most so many pixels."),
        click.option("--frames", type=click.IntRange(1), multiple=True, required=frames is None,
                     default=lengths, show_default=None if frames is None else str(frames),
                     help="Frames of a sample; with --rule full the most. Repeat it for musubi's "
                     "target_frames."),
        click.option("--fps", type=click.FloatRange(min=0, min_open=True),
                     help="Rate that is trained at.  [default: every frame as stored]"),
        click.option("--rule", type=click.Choice(EXTRACTIONS), default="head", show_default=True,
                     help="Which frames: the first, one stretch after the other, overlapping "
                     "stretches, so many spread evenly, or all. For --trainer plain and musubi."),
        click.option("--step", type=click.IntRange(1), default=1, show_default=True,
                     help="Frames from one stretch to the next, for --rule slide."),
        click.option("--samples", type=click.IntRange(1), default=1, show_default=True,
                     help="How many stretches, for --rule uniform."),
        click.option("--trainer", type=click.Choice(TRAINERS), default="plain", show_default=True,
                     help="Take, resample and crop frames exactly as this trainer does."),
        click.option("--source-fps", type=click.FloatRange(min=0, min_open=True),
                     help="The rate that musubi's configuration says the clips have; it resamples "
                     "only with this."),
    )
    # fmt: on

    def decorated(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated
