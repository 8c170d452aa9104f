"""`motifocal animate` with any other model: a diffusers pipeline, or a program of one's own."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.output.progress import is_quiet, tracked
from motifocal.generate.plan import (
    LEAST_SIDE,
    Wanted,
    small,
    write,
    write_sheet,
)

if TYPE_CHECKING:
    from motifocal.generate.model import Model
    from motifocal.media.picture import Pixels


def open_pipeline(name: str, options: dict[str, Any], number: int) -> Model:
    """The pipeline of a folder or hub id; the steps of a single video are shown on a terminal."""
    from motifocal.generate.diffusers_model import DiffusersModel
    from motifocal.generate.model import Sampling
    from motifocal.generate.open import open_model

    said = {key: value for key, value in options.items() if value is not None}
    rescale = said.pop("guidance_rescale", None)
    said["dtype"] = said.pop("precision")
    extra = {"guidance_rescale": rescale} if rescale else {}
    model = open_model(name, Sampling(**said, extra=extra))
    if isinstance(model, DiffusersModel):
        model.show_steps(sys.stderr.isatty() and not is_quiet() and number == 1)
    return model


def animate_with(
    model: Model, picture: Path, wanted: list[Wanted], sheet: Path | None, scale: int | None,
    batch: int = 1,
) -> None:  # fmt: skip
    """Make the videos with any model, `batch` jobs a call, and print the path of each.

    Files appear as they are finished. Raises ValueError, after the others are done, where some
    could not be made.
    """
    from motifocal.media.video import read_image, resize_crop

    made: list[tuple[Wanted, Pixels]] = []
    failed: list[str] = []
    size = (0, 0)
    outcomes = _outcomes(model, picture, wanted, batch, scale)
    for one, outcome in tracked(outcomes, "animating videos", len(wanted)):
        if isinstance(outcome, str):
            failed.append(f"{one.path}: {outcome}")
            continue
        click.echo(one.path)
        size = outcome.shape[1:3]
        if sheet is not None:
            made.append((one, small(outcome)))
    if sheet is not None and made:
        shown = resize_crop(read_image(picture), *size)
        write_sheet(sheet, shown, [one for one, _ in made], [frames for _, frames in made])
        click.echo(sheet)
    if failed:
        for line in failed[:-1]:
            click.echo(f"failed: {line}", err=True)
        raise ValueError(failed[-1])


def _outcomes(
    model: Model, picture: Path, wanted: list[Wanted], batch: int, scale: int | None
) -> Iterator[tuple[Wanted, Pixels | str]]:
    """For each video its frames (F, H, W, 3), once it is written, or why there is none."""
    from motifocal.generate.model import Job
    from motifocal.media.video import VideoError, read_video

    folder = wanted[0].path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".animate-", dir=folder) as temporary:
        for start in range(0, len(wanted), batch):
            group = wanted[start : start + batch]
            jobs = [Job(picture, one.sentence, one.seed, Path(temporary, f"{start + k}.mp4"))
                    for k, one in enumerate(group)]
            for one, job, reason in zip(group, jobs, model.animate(jobs), strict=True):
                if reason is not None:
                    yield one, reason
                    continue
                try:
                    clip = read_video(job.output)
                except VideoError as error:
                    yield one, str(error).replace(f"{job.output}: ", "")
                    continue
                factor = scale or math.ceil(LEAST_SIDE / min(clip.frames.shape[1:3]))
                if factor == 1 and one.path.suffix.lower() == ".mp4":
                    os.replace(job.output, one.path)
                else:
                    write(one.path, clip.frames, clip.fps, factor)
                yield one, clip.frames
