"""`motifocal animate`: animate an image by prompts; writes videos and a contact sheet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import LocalPath
from motifocal.cli.options.sampling import refuse_sampling, sampling_of, sampling_options
from motifocal.cli.output.cropping import note_cropped
from motifocal.cli.output.progress import is_quiet, phase, quiet_option
from motifocal.cli.output.unread import note_unread
from motifocal.generate.model_index import BUNDLED, check_name, check_priors
from motifocal.generate.plan import LEAST_SIDE, plan, refuse_existing

if TYPE_CHECKING:
    from motifocal.generate.frame_model import FrameModel


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal animate balloons.png "the blue balloon dips down" -o balloon.mp4
  motifocal animate balloons.png "the blue balloon dips down" "the red balloon rises" -o videos/
  motifocal animate duck.png "the duck swims to the left" --number 4 --seed 10
  motifocal animate photo.jpg "a boat sails away" --model videocrafter2/ --device cuda
  motifocal animate photo.jpg "a boat sails away" --model Lightricks/LTX-Video --device cuda
  motifocal animate photo.jpg "it sails" --model Lightricks/LTX-Video --lora run/lora
  motifocal animate photo.jpg "it sails" --command 'infer.sh {image} {prompt} {output} {seed}'
""")
@click.argument("image", metavar="IMAGE", type=LocalPath(exists=True, dir_okay=False))
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...")
@click.option("-o", "--output", type=LocalPath(), default=Path(),
              help="An .mp4 or .gif file for one video, or a folder.  [default: this folder]")
@click.option("--model", metavar="MODEL",
              help="A Motifocal folder, or a diffusers image-to-video pipeline by folder or hub id "
              "(owner/name).  [default: the bundled model of the synthetic scenes]")
@click.option("--lora", type=LocalPath(exists=True), metavar="FOLDER",
              help="A LoRA for a diffusers pipeline: the folder that `train` made, or a "
              ".safetensors file.")
@click.option("--command", metavar="TEMPLATE",
              help="Any program instead of a model: {image}, {prompt}, {output} and {seed} are "
              "filled in; or {batch}, a JSONL file of --batch jobs.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="Seed of the first video of each prompt.")
@click.option("--number", type=click.IntRange(1, 100), default=1, show_default=True,
              help="Videos per prompt, with the seeds from --seed on.")
@click.option("--guidance-rescale", type=click.FloatRange(0, 1),
              help="How much of the contrast that guidance adds is removed.  [default: the "
              "model's own]")
@click.option("--motion", type=click.FloatRange(0, 1), help="How much should move, for a model "
              "that was trained with `--prior score`.  [default: not given to the model]")
@click.option("--motion-mask", type=LocalPath(exists=True, dir_okay=False),
              help="An image of the same size, white where something may move, for a model "
              "that was trained with `--prior mask`.  [default: everywhere]")
@click.option("--scale", type=click.IntRange(1, 64), metavar="FACTOR",
              help="Enlarge the frames for viewing (cubic).  "
              f"[default: as far as the shorter side needs to reach {LEAST_SIDE}]")
@click.option("--batch", type=click.IntRange(1, 64), default=4, show_default=True,
              help="Videos made at once: memory against speed; does not change them. Diffusers "
              "pipelines make one at a time.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@sampling_options
@quiet_option
def animate(image: Path, prompts: tuple[str, ...], output: Path, model: str | None,
            lora: Path | None, command: str | None, seed: int, number: int, scale: int | None,
            batch: int, overwrite: bool, guidance_rescale: float | None, motion: float | None,
            motion_mask: Path | None, **sampling: Any) -> None:
    # fmt: on
    """Animate IMAGE as each PROMPT says, and print the paths of the videos.

    The image may have any size: it is scaled and cropped to the model's. Several videos are
    named after image, prompt and seed, and come with a contact sheet of them all.
    """
    from motifocal.media.video import read_image

    if command is not None:
        if model is not None:
            raise click.UsageError("give either --model or --command")
        if lora is not None:
            raise click.UsageError("--lora goes with --model")
        refuse_sampling({**sampling, "guidance_rescale": guidance_rescale, "motion": motion,
                         "motion_mask": motion_mask})
    elif model is not None:
        check_name(model)
    if command is None:
        check_priors(model or BUNDLED, motion, motion_mask)
    jobs, sheet = plan(image, prompts, output, seed, number)
    if not overwrite:
        refuse_existing([job.output for job in jobs] + ([sheet] if sheet else []))
    pixels = read_image(image)
    if motion_mask is not None and (mask := read_image(motion_mask)).shape != pixels.shape:
        raise ValueError("--motion-mask should be of the image's size, {}x{}, got {}x{}".format(
            *pixels.shape[:2], *mask.shape[:2]))
    from motifocal.cli.output.model_videos import animate_with

    if command is not None:
        from motifocal.generate.command_model import CommandModel

        animate_with(CommandModel(command, "command"), jobs, sheet, scale, batch)
        return
    own = {"guidance_rescale": guidance_rescale, "motion": motion,
           "motion_mask": None if motion_mask is None else str(motion_mask)}
    sampling["extra"] |= {name: value for name, value in own.items() if value is not None}
    distinct = list(dict.fromkeys(job.prompt for job in jobs))
    with phase("loading the model"):
        opened = open_sampler(model or BUNDLED, sampling, len(jobs), lora)
        for note in (*opened.notes, *opened.domain_notes(pixels, distinct)):
            click.echo(f"note: {note}", err=True)
    note_cropped(pixels.shape[:2], (opened.format.height, opened.format.width))
    note_unread(opened.text_limit, [*distinct, sampling["negative_prompt"] or ""])
    animate_with(opened, jobs, sheet, scale, batch)


def open_sampler(
    name: str, sampling: dict[str, Any], number: int, lora: Path | None = None
) -> FrameModel:
    """Load the model, with a LoRA where one is given.

    The steps of a single video of a diffusers pipeline show on a terminal.
    """
    from motifocal.generate.diffusers_model import DiffusersModel
    from motifocal.generate.open import open_model

    model = open_model(name, sampling_of(sampling), hash_weights=False)
    if lora is not None:
        if not isinstance(model, DiffusersModel):
            raise click.UsageError("--lora is for models of diffusers")
        model.load_lora(lora)
    if isinstance(model, DiffusersModel):
        model.show_steps(sys.stderr.isatty() and not is_quiet() and number == 1)
    return model
