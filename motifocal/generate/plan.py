"""Plan the files that `motifocal animate` writes, and write them: videos and a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motifocal.generate.model import Job

if TYPE_CHECKING:
    from motifocal.media.picture import Pixels

VIDEO_SUFFIXES = (".mp4", ".gif")
LEAST_SIDE = 256  # pixels: what --scale enlarges to unless it is given
SHEET_COLUMNS, SHEET_SIDE = 7, 160
LONGEST_SLUG, LONGEST_IMAGE = 120, 100  # bytes; file systems allow names of 255


def plan(
    image: Path, texts: tuple[str, ...], output: Path, seed: int, number: int
) -> tuple[list[Job], Path | None]:
    """Return the videos to make, and the path of the contact sheet where there are several.

    Names follow TI2V-Bench: the image's, the prompt in lower case without punctuation and
    with _ for spaces, the seed. Where that is too long, a hash stands for its end.
    """
    from motifocal.files.names import shortened, slug

    prompts = [" ".join(text.split()) for text in texts]
    slugs = [slug(prompt) for prompt in prompts]
    for prompt, name in zip(prompts, slugs, strict=True):
        if not name:
            raise click.BadParameter(f"should hold words, got {prompt!r}", param_hint="PROMPT")
        if slugs.count(name) > 1:
            raise click.BadParameter(f"should differ, got {prompt!r} twice", param_hint="PROMPT")
    several = len(texts) * number > 1
    if output.suffix.lower() in VIDEO_SUFFIXES and not output.is_dir():
        if several:
            raise click.BadParameter(f"should be a folder for several videos, got {output}",
                                     param_hint="--output")
        return [Job(image, prompts[0], seed, output)], None
    if output.suffix and not output.is_dir():
        raise click.BadParameter(f"should be a folder or end in .mp4 or .gif, got {output}",
                                 param_hint="--output")
    stem = shortened(image.stem, LONGEST_IMAGE)
    jobs = [
        Job(image, prompt, s, output / f"{stem}_{shortened(name, LONGEST_SLUG)}_{s}.mp4")
        for prompt, name in zip(prompts, slugs, strict=True)
        for s in range(seed, seed + number)
    ]
    return jobs, output / f"{stem}_sheet_{seed}.png" if several else None


def refuse_existing(paths: list[Path]) -> None:
    """Raise ValueError where one of the files to write is there already."""
    existing = [path for path in paths if path.exists()]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise click.BadParameter(f"{existing[0]}{more} should not exist, or add --overwrite",
                                 param_hint="--output")


def write(path: Path, frames: Pixels, fps: float, factor: int) -> None:
    """Write the frames, enlarged, into a folder that is made where it is missing."""
    from motifocal.media.video import resize_crop, write_video

    path.parent.mkdir(parents=True, exist_ok=True)
    _, height, width, _ = frames.shape
    write_video(path, resize_crop(frames, height * factor, width * factor), fps)


def small(pixels: Pixels) -> Pixels:
    """Scale an image or frames for the contact sheet: the shorter side becomes SHEET_SIDE."""
    from motifocal.media.video import resize_crop

    height, width = pixels.shape[-3:-1]
    factor = SHEET_SIDE / min(height, width)
    return resize_crop(pixels, round(height * factor), round(width * factor))


def write_sheet(path: Path, image: Pixels, jobs: Sequence[Job], videos: Sequence[Pixels]) -> None:
    """Write a row for each video, under its prompt: the image, then frames spread over it."""
    import numpy as np

    from motifocal.media.sheet import labelled, side_by_side
    from motifocal.media.video import write_image

    rows = []
    for job, frames in zip(jobs, videos, strict=True):
        images = np.concatenate([small(image)[None], small(frames)])
        rows.append((f"{job.prompt} (seed {job.seed})", side_by_side(images, SHEET_COLUMNS)))
    write_image(path, labelled(rows))
