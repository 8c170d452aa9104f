"""`motifocal animate` with a Motifocal folder: several videos at once, and a kind word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.output.progress import progress

if TYPE_CHECKING:
    from motifocal.generate.plan import Wanted
    from motifocal.media.picture import Pixels
    from motifocal.models.pipeline import TI2VPipeline


def load(folder: Path, dtype: str, device: str, offload: str = "none") -> TI2VPipeline:
    """The pipeline of a model folder, without bars of its own."""
    from motifocal.generate.diffusers_load import DTYPES, check_device, place
    from motifocal.generate.model import Sampling
    from motifocal.models.pipeline import TI2VPipeline

    how = Sampling(device=device, dtype=dtype, offload=offload)
    check_device(how)
    pipeline = TI2VPipeline.from_pretrained(folder, torch_dtype=DTYPES[dtype])
    pipeline.set_progress_bar_config(disable=True)
    place(pipeline, how)
    return pipeline


def fit(pipeline: TI2VPipeline, pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The picture as the model will see it, (H, W, 3) uint8."""
    from motifocal.media.video import resize_crop

    divisor = pipeline.divisor
    if min(size) < 1 or any(side % divisor for side in size):
        raise click.BadParameter(
            f"should be multiples of {divisor}, got {size[0]}x{size[1]}", param_hint="--size"
        )
    return resize_crop(pixels, *size)


def say_kindly(
    pipeline: TI2VPipeline, folder: Path, shown: Pixels, sentences: tuple[str, ...]
) -> None:
    """A line on stderr where the model is asked for what it never saw; it still does its best."""
    from motifocal.generate.domain import notes, read_familiar

    familiar = read_familiar(folder)
    if familiar is not None:
        for note in notes(familiar, pipeline.vae, shown, sentences):
            click.echo(f"note: {note}", err=True)


def sample(
    pipeline: TI2VPipeline, shown: Pixels, wanted: list[Wanted], batch: int,
    options: dict[str, Any],
) -> list[Pixels]:  # fmt: skip
    """The videos, each (F, H, W, 3) uint8, with progress over the steps."""

    from motifocal.models.noise import noise_generator

    videos: list[Pixels] = []
    steps = options["steps"] or pipeline.config["sample_steps"]
    groups = [wanted[start : start + batch] for start in range(0, len(wanted), batch)]
    words = f"{len(wanted)} video{'s' if len(wanted) > 1 else ''}"
    with progress(f"animating {words}: steps", len(groups) * steps) as bar:

        def advance(*step: Any) -> None:
            bar.advance()

        for group in groups:
            made = pipeline(
                shown,
                [one.sentence for one in group],
                negative_prompt=options.get("negative_prompt") or "",
                height=shown.shape[0],
                width=shown.shape[1],
                num_frames=options["frames"],
                fps=options["fps"],
                num_inference_steps=steps,
                guidance_scale=options["guidance"],
                guidance_rescale=options["guidance_rescale"],
                generator=[noise_generator(one.seed) for one in group],
                callback_on_step_end=advance,
                output_type="uint8",
            ).frames
            videos += list(made)
    return videos
