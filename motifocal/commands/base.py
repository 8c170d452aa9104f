"""`motifocal base`: the drawn world becomes the parts that a denoiser needs, small and real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from motifocal.training.autoencoder import AutoencoderSettings


@click.command(
    epilog="""\b
Examples:
  motifocal base -o base/                              autoencoder, tokenizer and text tower
  motifocal base --decoder-of base/ -o refined/        the same latents, a sharper decoder
"""
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for vae/, tokenizer/ and text_encoder/; run again to go on.",
)
@click.option(
    "--decoder-of",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Train only the decoder of this base folder further; its latents stay as they are.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Autoencoder steps, instead of the bundled model's."
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Processes that draw frames.",
)
def base(output: Path, decoder_of: Path | None, steps: int | None, workers: int) -> None:
    """Train the drawn world's autoencoder and text tower.

    They are what `motifocal prepare` and `motifocal train` need as --model. On two CPU cores the
    autoencoder takes about a quarter of an hour and the text tower a minute.
    """
    import shutil
    from dataclasses import replace

    import torch

    from motifocal.models.folder import load_autoencoder
    from motifocal.training.autoencoder import (
        BUNDLED_AUTOENCODER,
        BUNDLED_DECODER,
        train_autoencoder,
    )
    from motifocal.training.text_tower import BUNDLED_TEXT_TOWER, train_text_tower

    finished = None
    settings = BUNDLED_AUTOENCODER
    if decoder_of is not None:
        if output.resolve() == decoder_of.resolve():
            raise click.BadParameter("should be another folder", param_hint="--output")
        finished = load_autoencoder(decoder_of, torch.float32)
        settings = BUNDLED_DECODER
        for part in ("tokenizer", "text_encoder"):
            shutil.copytree(decoder_of / part, output / part, dirs_exist_ok=True)
    elif not (output / "text_encoder").exists():
        click.echo(
            "text tower: "
            + ", ".join(
                f"{k} {v:g}" for k, v in train_text_tower(output, BUNDLED_TEXT_TOWER).items()
            ),
            err=True,
        )
    settings = replace(settings, steps=steps) if steps else settings
    _show(train_autoencoder(output, settings, workers, finished), settings)
    click.echo(output)


def _show(lines: Iterator[dict[str, float]], settings: AutoencoderSettings) -> None:
    """A progress bar with the loss of the last step."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("autoencoder", total=settings.steps)
        for line in lines:
            progress.update(
                task,
                completed=int(line["step"]),
                description=f"autoencoder, loss {line['loss']:.4f}",
            )
