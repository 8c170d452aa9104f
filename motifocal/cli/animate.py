"""`motifocal animate`: a picture and sentences become videos, and a sheet that shows them all."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from motifocal.cli.options.device import chosen_device, device_option, precision_option
from motifocal.cli.options.renamed import old_option
from motifocal.cli.options.size import Size
from motifocal.cli.output.progress import phase, quiet_option
from motifocal.generate.plan import (
    LEAST_SIDE,
    Wanted,
    note_cropped,
    plan,
    refuse_existing,
    write,
    write_sheet,
)

if TYPE_CHECKING:
    from motifocal.media.picture import Pixels
    from motifocal.models.pipeline import TI2VPipeline

BUNDLED = "bundled"
#: Options that say how a model samples, which a program does as it says itself.
SAMPLING = ("steps", "guidance", "guidance_rescale", "negative_prompt", "fps", "frames", "size",
            "device", "precision", "offload")


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal animate balloons.png "the blue balloon dips down" -o balloon.mp4
  motifocal animate balloons.png "the blue balloon dips down" "the red balloon rises" -o videos/
  motifocal animate duck.png "the duck swims to the left" --number 4 --seed 10
  motifocal animate photo.jpg "a boat sails away" --model videocrafter2/ --device cuda
  motifocal animate photo.jpg "a boat sails away" --model Lightricks/LTX-Video --device cuda
  motifocal animate photo.jpg "it sails" --command 'infer.sh {image} {prompt} {output} {seed}'
""")
@click.argument("picture", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("sentences", nargs=-1, required=True, metavar="SENTENCE...")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path(),
              help="An .mp4 or .gif file for one video, or a folder.  [default: this folder]")
@click.option("--model", metavar="MODEL",
              help="A Motifocal folder, or a diffusers image-to-video pipeline by folder or hub id "
              "(owner/name).  [default: the bundled model of the drawn world]")
@click.option("--command", metavar="TEMPLATE",
              help="Any program instead of a model: {image}, {prompt}, {output} and {seed} are "
              "filled in; or {batch}, a JSONL file of --batch jobs.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="Of the first video of each sentence.")
@click.option("--number", type=click.IntRange(1, 100), default=1, show_default=True,
              help="Videos a sentence, with the seeds from --seed on.")
@click.option("--steps", type=click.IntRange(1, 1000),
              help="Denoising steps; the paper takes 50.  [default: what the model is made for]")
@click.option("--guidance", type=click.FloatRange(0, 100),
              help="How much the sentence counts; 1 is no guidance, and twice as fast; the paper "
              "takes 7.5.  [default: what the model is made for]")
@click.option("--guidance-rescale", type=click.FloatRange(0, 1),
              help="How much of the contrast that guidance adds is taken out.  [default: what the "
              "model is made for]")
@click.option("--negative-prompt", metavar="TEXT",
              help="What guidance leads away from.  [default: nothing in particular]")
@click.option("--fps", type=click.FloatRange(1, 120), help="[default: what the model is made for]")
@click.option("--frames", type=click.IntRange(1, 1000),
              help="[default: what the model is made for]")
@click.option("--size", type=Size(), metavar="HEIGHTxWIDTH",
              help="Of the picture that is animated.  [default: what the model is made for]")
@click.option("--scale", type=click.IntRange(1, 64), metavar="FACTOR",
              help="Enlarge the frames for viewing (cubic).  "
              f"[default: as far as the shorter side needs to reach {LEAST_SIDE}]")
@click.option("--batch", type=click.IntRange(1, 64), default=4, show_default=True,
              help="Videos made at once: memory against speed; does not change them. Diffusers "
              "pipelines make one at a time.")
@device_option()
@precision_option("What to compute in.")
@old_option("--dtype", "--precision", "precision")
@click.option("--offload", type=click.Choice(["none", "model", "sequential"]), default="none",
              show_default=True, help="Keep parts of the model off the accelerator while they are "
              "not needed: less memory, slower.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@quiet_option
def animate(picture: Path, sentences: tuple[str, ...], output: Path, model: str | None,
            command: str | None, seed: int, number: int, scale: int | None, batch: int,
            overwrite: bool, **options: Any) -> None:
    # fmt: on
    """Animate PICTURE as each SENTENCE says, and print the paths of the videos.

    The picture may have any size: it is scaled and cropped to the model's. Several videos are
    named after picture, sentence and seed, and come with a contact sheet, a picture of them all.
    """
    from motifocal.generate.model_index import check_name
    from motifocal.media.video import read_image

    if command is not None:
        refuse_sampling(model)
    elif model is not None:
        check_name(model)
    wanted, sheet = plan(picture, sentences, output, seed, number)
    if not overwrite:
        refuse_existing([w.path for w in wanted] + ([sheet] if sheet else []))
    pixels = read_image(picture)
    if command is not None:
        with_command(command, picture, wanted, sheet, scale, batch)
        return
    from motifocal.cli.output.model_videos import animate_with, open_pipeline
    from motifocal.cli.output.unread import note_unread

    with phase("loading the model"):
        options["device"] = chosen_device(options["device"])
        folder = motifocal_folder(model)
        if folder is None:
            opened = open_pipeline(str(model), options, len(wanted))
            limit = opened.text_limit
            form = opened.format
            frame_size = None if form is None else (form.height, form.width)
        else:
            pipeline, shown = load_motifocal(folder, pixels, wanted, options)
            limit, frame_size = pipeline.text_limit, shown.shape[:2]
    note_cropped(pixels, frame_size)
    note_unread(limit, [*(one.sentence for one in wanted), options["negative_prompt"] or ""])
    if folder is None:
        animate_with(opened, picture, wanted, sheet, scale)
    else:
        with_motifocal(pipeline, shown, wanted, sheet, scale, batch, options)


def refuse_sampling(model: str | None) -> None:
    """Raise UsageError for options that a program of one's own would not see."""
    if model is not None:
        raise click.UsageError("give either --model or --command")
    context = click.get_current_context()
    given = [name for name in SAMPLING
             if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
    if given:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise click.UsageError(f"{words}: a command samples as it says itself")


def motifocal_folder(model: str | None) -> Path | None:
    """The folder of the model if it is Motifocal's own; ValueError for a folder of no model."""
    if model is None or model == BUNDLED:
        from motifocal.models.pipeline import BUNDLED as FOLDER

        return FOLDER
    folder = Path(model)
    if not folder.is_dir():
        return None
    from motifocal.generate.model_index import is_motifocal

    return folder if is_motifocal(folder) else None


def load_motifocal(
    folder: Path, pixels: Pixels, wanted: list[Wanted], options: dict[str, Any]
) -> tuple[TI2VPipeline, Pixels]:
    """The pipeline of a folder, and the picture as it will see it."""
    from motifocal.cli.output.motifocal_videos import fit, load, say_kindly

    pipeline = load(folder, options["precision"], options["device"], options["offload"])
    shown = fit(pipeline, pixels, options["size"] or pipeline.sample_size)
    say_kindly(pipeline, folder, shown, tuple(dict.fromkeys(one.sentence for one in wanted)))
    return pipeline, shown


def with_motifocal(
    pipeline: TI2VPipeline, shown: Pixels, wanted: list[Wanted], sheet: Path | None,
    scale: int | None, batch: int, options: dict[str, Any],
) -> None:  # fmt: skip
    """Make the videos, then write them, and print their paths."""
    from motifocal.cli.output.motifocal_videos import sample

    videos = sample(pipeline, shown, wanted, batch, options)
    with phase("writing"):
        rate = options["fps"] or pipeline.config["sample_fps"]
        factor = scale or math.ceil(LEAST_SIDE / min(shown.shape[:2]))
        for one, frames in zip(wanted, videos, strict=True):
            write(one.path, frames, rate, factor)
            click.echo(one.path)
        if sheet is not None:
            write_sheet(sheet, shown, wanted, videos)
            click.echo(sheet)


def with_command(
    template: str, picture: Path, wanted: list[Wanted], sheet: Path | None, scale: int | None,
    batch: int,
) -> None:  # fmt: skip
    """Make the videos with a program of one's own."""
    from motifocal.cli.output.model_videos import animate_with
    from motifocal.generate.command_model import CommandModel

    model = CommandModel(template, "command", timeout=None)
    animate_with(model, picture, wanted, sheet, scale, batch)
