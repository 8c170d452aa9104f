"""`motifocal import`: released weights become a model folder."""

from __future__ import annotations

from pathlib import Path

import click

from motifocal.cli.output.progress import phase, quiet_option


@click.group(name="import")
def import_() -> None:
    """Turn released weights into a Motifocal folder."""


@import_.command(epilog="""\b
Example:
  motifocal import videocrafter2 model.ckpt videocrafter2/ --tokenizer clip/
""")
@click.argument("checkpoint", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--tokenizer", help="Local folder with CLIP's tokenizer, or a hub id.")
@click.option("--condition", type=click.Choice(["concat", "none"]), default="concat",
              show_default=True, help="How the picture enters; none keeps text-to-video.")
@quiet_option
def videocrafter2(checkpoint: Path, folder: Path, tokenizer: str | None, condition: str) -> None:
    """Turn VideoCrafter2's CHECKPOINT (model.ckpt) into the model folder FOLDER.

    Every tensor of the checkpoint is checked by name and shape before anything is written. The
    network takes the picture on extra channels that start at zero, to be trained.
    """
    from typing import cast

    from motifocal.models.unet_config import ImageCondition
    from motifocal.models.videocrafter2 import import_videocrafter2

    with phase(f"reading {checkpoint} and writing {folder}"):
        report = import_videocrafter2(checkpoint, folder, cast("ImageCondition", condition),
                                      tokenizer)
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"{len(report.unused)} tensors of the checkpoint are not needed", err=True)
    click.echo(report.folder)
