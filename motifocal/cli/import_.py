"""`motifocal import`: turn released weights into a model folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import LocalPath
from motifocal.cli.output.progress import phase, quiet_option

if TYPE_CHECKING:
    from motifocal.models.released.checkpoint import ImportReport


@click.group(name="import")
def import_() -> None:
    """Turn released weights into a Motifocal folder."""


def checkpoint_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments and options that every import has."""
    file = LocalPath(exists=True, dir_okay=False)
    for decorate in (
        quiet_option,
        click.option("--tokenizer", help="Local folder with CLIP's tokenizer, or a hub id."),
        click.argument("folder", type=LocalPath()),
        click.argument("checkpoint", type=file),
    ):
        command = decorate(command)
    return command


def report_import(checkpoint: Path, folder: Path, run: Callable[[], ImportReport]) -> None:
    """Import, then print what is missing, what was left out, and the folder."""
    with phase(f"reading {checkpoint} and writing {folder}"):
        report = run()
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"{len(report.unused)} tensors of the checkpoint are not needed", err=True)
    click.echo(report.folder)


@import_.command(epilog="""\b
Example:
  motifocal import videocrafter2 model.ckpt videocrafter2/ --tokenizer clip/
""")
@checkpoint_arguments
@click.option("--condition", type=click.Choice(["concat", "none"]), default="concat",
              show_default=True, help="How the image enters; none keeps text-to-video.")
def videocrafter2(checkpoint: Path, folder: Path, tokenizer: str | None, condition: str) -> None:
    """Turn VideoCrafter2's CHECKPOINT (model.ckpt) into the model folder FOLDER.

    Every tensor of the checkpoint is checked by name and shape before anything is written. The
    network takes the image on extra channels that start at zero, to be trained.
    """
    from typing import cast

    from motifocal.models.unet_config import ImageCondition
    from motifocal.models.videocrafter2 import import_videocrafter2

    chosen = cast("ImageCondition", condition)
    report_import(checkpoint, folder,
                  lambda: import_videocrafter2(checkpoint, folder, chosen, tokenizer))


@import_.command(epilog="""\b
Example:
  motifocal import dynamicrafter model.ckpt dynamicrafter/ --tokenizer clip/
""")
@checkpoint_arguments
def dynamicrafter(checkpoint: Path, folder: Path, tokenizer: str | None) -> None:
    """Turn DynamiCrafter's CHECKPOINT for 320 x 512 (model.ckpt) into the model folder FOLDER.

    Every tensor of the checkpoint is checked by name and shape before anything is written. The
    image encoder and the resampler of its tokens come along, and the sampler as released.
    """
    from motifocal.models.released.dynamicrafter import import_dynamicrafter

    report_import(checkpoint, folder, lambda: import_dynamicrafter(checkpoint, folder, tokenizer))


@import_.command("videocrafter1-i2v", epilog="""\b
Example:
  motifocal import videocrafter1-i2v model.ckpt videocrafter1/ --tokenizer clip/
""")
@checkpoint_arguments
def videocrafter1_i2v(checkpoint: Path, folder: Path, tokenizer: str | None) -> None:
    """Turn VideoCrafter1's image-to-video CHECKPOINT (model.ckpt) into the model folder FOLDER.

    Every tensor of the checkpoint is checked by name and shape before anything is written. The
    image encoder and the resampler of its tokens come along, and the sampler as released.
    """
    from motifocal.models.released.dynamicrafter import import_videocrafter1_i2v

    report_import(checkpoint, folder,
                  lambda: import_videocrafter1_i2v(checkpoint, folder, tokenizer))
