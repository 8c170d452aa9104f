"""`motifocal figure6`: loss where clips move over mean loss, per timestep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from motifocal.cli.options.declare import FOLDER, output_option
from motifocal.cli.options.device import chosen_device, device_option
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import announce, progress, quiet_option
from motifocal.extras import require


@click.command(epilog="""\b
Examples:
  motifocal figure6 run/ held-out/ -o figure6/ --text base/
  motifocal figure6 run/ plain/ held-out/ -o figure6/ --text base/ --clips 128
""")
@click.argument("models", type=FOLDER, nargs=-1, required=True)
@click.argument("shards", type=FOLDER)
@output_option("Folder of figure6.csv and figure6.png.")
@click.option("--text", type=FOLDER,
              help="Model folder with text_encoder/ and tokenizer/, for all MODELS. "
              "[default: each model's own]")
@click.option("--bins", type=click.IntRange(1, 1000), default=10, show_default=True,
              help="Timesteps to measure at, spread evenly.")
@click.option("--clips", type=click.IntRange(1), help="How many clips. [default: all]")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True,
              help="Clips in one pass.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Seed of the noise, which is the same for all models.")
@device_option()
@quiet_option
def figure6(models: tuple[Path, ...], shards: Path, output: Path, text: Path | None, bins: int,
            clips: int | None, batch: int, seed: int, device: str) -> None:
    """Measure the loss where clips move over the mean loss, as in the paper's Figure 6.

    MODELS are runs of `motifocal train` (their averaged weights) or model folders; SHARDS are
    clips that none was trained on. All models see the same noise. Lower is better: a network that
    only copies the image is high.
    """
    names = [str(model) for model in models]
    texts = [text or model for model in models]
    _check_inputs(models, shards, texts)
    lock_output(output)
    announce("loading the clips")
    import torch
    from torch import nn

    from motifocal.data.shards import Shards
    from motifocal.training.measurement.figure6 import (
        draw_plot,
        evaluate_loss_ratio,
        middles,
        write_csv,
    )
    from motifocal.training.run_folder import load_denoiser, load_text

    held_out, place = Shards(shards), torch.device(chosen_device(device))
    results = {}
    count = min(clips or len(held_out), len(held_out))
    for name, model, base in zip(names, models, texts, strict=True):
        announce(f"loading {name}")
        unet, schedule = load_denoiser(model)
        features = load_text(base)
        nn.Module.to(unet, place)
        nn.Module.to(features.text_encoder, place)
        with progress(f"measuring {name}", count * bins) as bar:
            results[name] = evaluate_loss_ratio(
                unet, held_out, features, schedule, middles(bins), clips=clips,
                batch=batch, seed=seed, progress=bar.advance,
            )
    output.mkdir(parents=True, exist_ok=True)
    write_csv(output / "figure6.csv", results)
    for name, losses in results.items():
        click.echo(f"{name}: {losses.ratio().mean():.3f} on average over {bins} timesteps, "
                   f"{losses.clips} clips that move", err=True)
    click.echo(output / "figure6.csv")
    draw_plot(output / "figure6.png", results)
    click.echo(output / "figure6.png")


def _check_inputs(models: Sequence[Path], shards: Path, texts: Sequence[Path]) -> None:
    """Raise BadParameter or ValueError for inputs of which it is plain that they will not do."""
    from motifocal.data.manifest import read_manifest
    from motifocal.training.folders import check_denoiser, check_parts

    if len(set(models)) < len(models):
        raise click.BadParameter("a model is named twice", param_hint="MODELS")
    for model in models:
        check_denoiser(model)
    try:
        for text in texts:
            check_parts(text, "text_encoder", "tokenizer")
    except ValueError as error:
        raise click.BadParameter(f"{error}; a run has none: name its base folder",
                                 param_hint="--text") from error
    read_manifest(shards)
    require("matplotlib", "train", "the plot needs")
