"""Make the videos of `motifocal animate` with any model, with progress and a contact sheet."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from motifocal.cli.output.progress import progress
from motifocal.generate.frame_model import FrameModel
from motifocal.generate.model import Job
from motifocal.generate.plan import LEAST_SIDE, small, write, write_sheet

if TYPE_CHECKING:
    from motifocal.generate.model import Model
    from motifocal.media.picture import Pixels


def animate_with(
    model: Model, jobs: Sequence[Job], sheet: Path | None, scale: int | None, batch: int = 1
) -> None:
    """Make the videos of one image, `batch` jobs a call, and print the path of each.

    Files appear as they are finished. Raises ValueError, after the others are done, where some
    could not be made.
    """
    from motifocal.media.video import read_image, resize_crop

    made: list[tuple[Job, Pixels]] = []
    failed: list[str] = []
    size = (0, 0)
    batches = [jobs[start : start + batch] for start in range(0, len(jobs), batch)]
    with _progress(model, batches) as (after_step, after_video):
        for job, frames in _made(model, batches, scale, after_step):
            if isinstance(frames, str):
                failed.append(f"{job.output}: {frames}")
            else:
                click.echo(job.output)
                size = frames.shape[1:3]
                if sheet is not None:
                    made.append((job, small(frames)))
            after_video()
    if sheet is not None and made:
        image = resize_crop(read_image(jobs[0].image), *size)
        write_sheet(sheet, image, *zip(*made, strict=True))
        click.echo(sheet)
    if failed:
        for line in failed[:-1]:
            click.echo(f"failed: {line}", err=True)
        raise ValueError(failed[-1])


@contextmanager
def _progress(
    model: Model, batches: Sequence[Sequence[Job]]
) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Show progress; gives what to call after each denoising step and after each video.

    Steps are counted of models that sample a batch together, else videos.
    """
    number = sum(map(len, batches))
    if isinstance(model, FrameModel) and model.samples_batches:
        doing = f"animating {number} video{'s' if number > 1 else ''}: steps"
        with progress(doing, len(batches) * model.settings["steps"]) as bar:
            yield bar.advance, lambda: None
    else:
        with progress("animating videos", number) as bar:
            yield (lambda: None), bar.advance


def _made(
    model: Model, batches: Sequence[Sequence[Job]], scale: int | None,
    after_step: Callable[[], None],
) -> Iterator[tuple[Job, Pixels | str]]:  # fmt: skip
    """Yield for each video its frames (F, H, W, 3), once it is written, or why there is none."""
    folder = batches[0][0].output.parent
    folder.mkdir(parents=True, exist_ok=True)
    for jobs in batches:
        if isinstance(model, FrameModel):
            made = _from_frames(model, jobs, scale, after_step)
        else:
            made = _from_files(model, jobs, scale, folder)
        yield from zip(jobs, made, strict=True)


def _from_frames(
    model: FrameModel, jobs: Sequence[Job], scale: int | None, after_step: Callable[[], None]
) -> Iterator[Pixels | str]:
    """Make and write the videos of one call."""
    sampled = model.sample(jobs, after_step, one_image=True)
    for job, frames in zip(jobs, sampled, strict=True):
        if not isinstance(frames, str):
            write(job.output, frames, model.format.fps, _factor(frames, scale))
        yield frames


def _from_files(
    model: Model, jobs: Sequence[Job], scale: int | None, folder: Path
) -> Iterator[Pixels | str]:
    """Let the model write the videos of one call, then put them in their places, enlarged."""
    from motifocal.media.video import VideoError, read_video

    with TemporaryDirectory(prefix=".animate-", dir=folder) as temporary:
        files = [replace(job, output=Path(temporary, f"{k}.mp4")) for k, job in enumerate(jobs)]
        for job, file, reason in zip(jobs, files, model.animate(files), strict=True):
            if reason is not None:
                yield reason
                continue
            try:
                clip = read_video(file.output)
            except VideoError as error:
                yield str(error).replace(f"{file.output}: ", "")
                continue
            factor = _factor(clip.frames, scale)
            if factor == 1 and job.output.suffix.lower() == ".mp4":
                os.replace(file.output, job.output)
            else:
                write(job.output, clip.frames, clip.fps, factor)
            yield clip.frames


def _factor(frames: Pixels, scale: int | None) -> int:
    """Return how much frames (F, H, W, 3) are enlarged."""
    return scale or math.ceil(LEAST_SIDE / min(frames.shape[1:3]))
