"""`motifocal base`: train autoencoder, tokenizer and text encoder on the synthetic scenes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import FOLDER, output_option
from motifocal.cli.options.device import chosen_device, device_option
from motifocal.cli.options.scenes import variant_of, variant_options
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import announce, phase, progress, quiet_option

if TYPE_CHECKING:
    from motifocal.training.encoders.autoencoder import AutoencoderSettings


@click.command(epilog="""\b
Examples:
  motifocal base -o base/                              autoencoder, tokenizer and text encoder
  motifocal base --decoder-of base/ -o refined/        the same latents, a sharper decoder
  motifocal base -o hard/ --size 128 --difficulty hard --background living
""")
@output_option("Folder for vae/, tokenizer/ and text_encoder/; run again to resume.")
@click.option("--decoder-of", type=FOLDER,
              help="Train only the decoder of this base folder further; its latents stay as they "
              "are.")
@click.option("--steps", type=click.IntRange(min=1),
              help="Autoencoder steps, instead of the bundled model's.")
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True,
              help="Processes that draw frames.")
@click.option("--size", type=click.IntRange(min=16), help="Side of the autoencoder's training "
              "frames in pixels, instead of the bundled model's.")
@device_option("Where the autoencoder is trained")
@variant_options
@quiet_option
def base(
    output: Path, decoder_of: Path | None, steps: int | None, workers: int, size: int | None,
    device: str, **options: Any,
) -> None:
    """Train autoencoder and text encoder of the synthetic scenes.

    They are what `motifocal prepare` and `motifocal train` need as --model. On two CPU cores the
    autoencoder takes about a quarter of an hour and the text encoder a minute. With other scenes
    than the default's, half of the autoencoder's clips are of those and half are the default's.
    """
    from dataclasses import replace

    variant = variant_of(options)
    if size and size % 8:
        raise click.BadParameter(f"should divide by 8, got {size}", param_hint="--size")
    if decoder_of is not None:
        from motifocal.training.folders import check_parts

        if output.resolve() == decoder_of.resolve():
            raise click.BadParameter("should be another folder", param_hint="--output")
        check_parts(decoder_of, "vae", "tokenizer", "text_encoder")
    announce("loading")
    import torch

    from motifocal.files.atomic import remove_temporaries
    from motifocal.models.folder import load_autoencoder
    from motifocal.training.encoders.autoencoder import (
        BUNDLED_AUTOENCODER,
        BUNDLED_DECODER,
        train_autoencoder,
    )

    device = chosen_device(device)
    lock_output(output)
    for folder in (output, output / "checkpoints"):
        remove_temporaries(folder)
    finished = load_autoencoder(decoder_of, torch.float32) if decoder_of else None
    _write_text_parts(output, decoder_of)
    settings = BUNDLED_DECODER if decoder_of else BUNDLED_AUTOENCODER
    settings = replace(settings, steps=steps or settings.steps, size=size or settings.size,
                       variant=variant)
    _show(train_autoencoder(output, settings, workers, finished, device), settings)
    click.echo(output)


def _write_text_parts(output: Path, finished: Path | None) -> None:
    """Write tokenizer and text encoder: those of a finished base, or trained where none are."""
    import shutil

    from motifocal.files.atomic import replacing_folder
    from motifocal.training.encoders.text_encoder import BUNDLED_TEXT_ENCODER, train_text_encoder

    if finished is not None:
        for part in ("tokenizer", "text_encoder"):
            with replacing_folder(output / part) as temporary:
                shutil.copytree(finished / part, temporary, dirs_exist_ok=True)
    elif not (output / "text_encoder").exists():
        with phase("training the text encoder"):
            measures = train_text_encoder(output, BUNDLED_TEXT_ENCODER)
        announce("text encoder: " + ", ".join(f"{k} {v:g}" for k, v in measures.items()))


def _show(lines: Iterator[dict[str, float]], settings: AutoencoderSettings) -> None:
    """Show how far it is, with the loss of the last step."""
    with progress("training the autoencoder: steps", settings.steps) as bar:
        for line in lines:
            bar.reach(int(line["step"]), f"loss {line['loss']:.4f}")
