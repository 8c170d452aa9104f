"""`motifocal figure6`: runs and held-out shards become the loss quotient per timestep."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command(epilog="""\b
Examples:
  motifocal figure6 run/ held-out/ -o figure6/ --text base/
  motifocal figure6 run/ plain/ held-out/ -o figure6/ --text base/ --clips 128
""")
@click.argument("models", type=FOLDER, nargs=-1, required=True)
@click.argument("shards", type=FOLDER)
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Folder of figure6.csv and figure6.png.")
@click.option("--text", type=FOLDER,
              help="Model folder with text_encoder/ and tokenizer/. [default: the first of MODELS]")
@click.option("--bins", type=click.IntRange(1, 1000), default=10, show_default=True,
              help="Timesteps to measure at, spread evenly.")
@click.option("--clips", type=click.IntRange(1), help="How many clips. [default: all]")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True,
              help="Clips in one pass.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the noise, which is the same for all models.")
@click.option("--device", default=None, help="cpu, cuda, ... [default: an accelerator if any]")
def figure6(models: tuple[Path, ...], shards: Path, output: Path, text: Path | None, bins: int,
            clips: int | None, batch: int, seed: int, device: str | None) -> None:
    """Measure the loss where clips move over the mean loss, as in the paper's Figure 6.

    MODELS are runs of `motifocal train` (their averaged weights) or model folders; SHARDS are
    clips that none was trained on. All models see the same noise. Lower is better: a network that
    only copies the picture is high.
    """
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from motifocal.data.shards import Shards
    from motifocal.training.base import load_denoiser, load_text, move
    from motifocal.training.figure6 import draw_plot, evaluate_loss_ratio, middles, write_csv

    names = [str(model) for model in models]
    if len(set(names)) < len(names):
        raise click.BadParameter("a model is named twice", param_hint="MODELS")
    held_out, features = Shards(shards), load_text(text or models[0])
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    move(features.tower, place)
    found = {}
    with Progress(console=Console(stderr=True)) as progress:
        for name, model in zip(names, models, strict=True):
            count = min(clips or len(held_out), len(held_out))
            task = progress.add_task(name, total=count * bins)
            unet, schedule = load_denoiser(model)
            move(unet, place)
            found[name] = evaluate_loss_ratio(
                unet, held_out, features, schedule, middles(bins), clips=clips,
                batch=batch, seed=seed,
                progress=lambda done, task=task: progress.advance(task, done),  # type: ignore[misc]
            )
    output.mkdir(parents=True, exist_ok=True)
    write_csv(output / "figure6.csv", found)
    for name, losses in found.items():
        click.echo(f"{name}: {losses.ratio().mean():.3f} on average over {bins} timesteps, "
                   f"{losses.clips} clips that move", err=True)
    click.echo(output / "figure6.csv")
    draw_plot(output / "figure6.png", found)
    click.echo(output / "figure6.png")
