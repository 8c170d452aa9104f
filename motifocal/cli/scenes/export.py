"""`motifocal scenes export`: synthetic scenes as a data set or as a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from motifocal.cli.options.declare import output_option
from motifocal.cli.options.renamed import old_option
from motifocal.cli.options.scenes import SIZE, clips_variant_options, variant_of
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import progress, quiet_option


@click.command(epilog="""
\b
Examples:
  motifocal scenes export -o drawn --clips 2000
  motifocal scenes export -o drawn-moving --clips 500 --camera-motion mixed --truth --size 256
  motifocal scenes export -o bench --kind benchmark --size 256 --truth
  motifocal scenes export -o hard --clips 500 --size 128 --background living --difficulty hard
""")
@output_option("The folder to write. Run again to continue after an interruption.")
@click.option("--kind", type=click.Choice(["dataset", "benchmark"]), default="dataset",
              show_default=True,
              help="Captioned clips to train on (a Hugging Face videofolder), or images and "
              "prompts to animate (TI2V-Bench's layout).")
@click.option("--size", type=SIZE, default=64, show_default=True, help="Side of a frame, pixels.")
@click.option("--truth", is_flag=True, help="Dataset: masks and optical flow as .npz. Benchmark: "
              "the true videos.")
@click.option("--clips", type=click.IntRange(min=1), help="Dataset: how many.  [default: 1000]")
@click.option("--split", type=click.Choice(["train", "eval"]),
              help="Dataset: eval shows combinations that train never does.  [default: train]")
@click.option("--frames", type=click.IntRange(min=2), help="Dataset: per clip.  [default: 16]")
@click.option("--seed", type=int, help="Dataset: other clips.  [default: 0]")
@click.option("--camera-motion", "camera", type=click.Choice(["static", "moving", "mixed"]),
              help="Dataset: mixed moves it in half of the clips.  [default: static]")
@old_option("--camera", "--camera-motion", "camera")
@click.option("--lossless", is_flag=True, default=None,
              help="Dataset: each clip a folder of PNG frames, not an .mp4.")
@click.option("--pairs", type=click.IntRange(min=1),
              help="Benchmark: how many images with a prompt.  [default: 320]")
@clips_variant_options
@quiet_option
def export(
    output: Path, kind: str, size: int, truth: bool, clips: int | None, split: str | None,
    frames: int | None, seed: int | None, camera: str | None, lossless: bool | None,
    pairs: int | None, **options: Any,
) -> None:
    """Write synthetic scenes as folders that other tools read."""
    from motifocal.scenes.export import (
        BenchmarkSettings,
        DatasetSettings,
        export_benchmark,
        export_dataset,
    )

    variant = variant_of(options)
    own = {"clips": clips, "split": split, "frames": frames, "seed": seed, "camera": camera,
           "lossless": lossless}
    foreign = {"pairs": pairs} if kind == "dataset" else own
    for name, value in foreign.items():
        if value is not None:
            option = {"camera": "camera-motion"}.get(name, name)
            raise click.UsageError(f"--{option} does not go with --kind {kind}")
    if kind == "benchmark" and variant.background == "mixed":
        raise click.UsageError("--background mixed goes with --kind dataset")
    lock_output(output)
    if kind == "dataset":
        settings = DatasetSettings(
            clips=clips or 1000, split=split or "train", size=size,  # type: ignore[arg-type]
            frames=frames or 16, seed=seed or 0, camera=camera or "static",  # type: ignore[arg-type]
            truth=truth, lossless=bool(lossless), variant=variant,
        )
        _drain(export_dataset(output, settings), "drawing clips", settings.clips)
    else:
        count = pairs or 320
        done = export_benchmark(output, BenchmarkSettings(count, size, truth, variant))
        _drain(done, "drawing pairs", count)
    click.echo(output)


def _drain(done: Iterator[int], doing: str, total: int) -> None:
    """Run an export to its end, showing how much of it is done."""
    with progress(doing, total) as bar:
        for count in done:
            bar.reach(count)
