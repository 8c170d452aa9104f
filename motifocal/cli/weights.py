"""`motifocal weights`: write motion weights for the latents that a trainer has cached."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.clips import heatmap_options, settings_of
from motifocal.cli.options.declare import FILE, FOLDER
from motifocal.cli.options.renamed import old_option
from motifocal.cli.output.progress import progress, quiet_option

if TYPE_CHECKING:
    from motifocal.bridges.cached_latents import Job


@click.group()
def weights() -> None:
    """Motion weights for the latents that a trainer keeps on disk.

    For training with `python -m motifocal.bridges.musubi` and `python -m motifocal.bridges.ltx`.
    Latents are neither made nor changed: run this after the trainer's own caching. It can be
    stopped and run again to resume. Samples that do not fit are listed, and the exit code is 1.
    """


@weights.command(epilog="""
\b
Examples:
  motifocal weights musubi --dataset-config dataset.toml --family wan
  motifocal weights musubi --dataset-config dataset.toml --family hv --camera
""")
@click.option("--dataset-config", "--dataset_config", required=True, type=FILE,
              help="musubi-tuner's --dataset_config, as it was when it cached.")
@click.option("--family", type=click.Choice(["wan", "hv", "hv15"]), required=True,
              help="Model of the latents, as their files are named: Wan, HunyuanVideo, "
              "HunyuanVideo 1.5.")
@click.option("--force", is_flag=True, help="Measure those that are there already as well.")
@old_option("--anew", "--force", "force", True)
@heatmap_options
@quiet_option
def musubi(dataset_config: Path, family: str, force: bool, **options: Any) -> None:
    """Write the weights into musubi-tuner's latent caches.

    Each cache file gets one tensor more, motifocal_weight; it is written whole or not at all.
    Relative paths in the configuration count from the folder this is started in, as there.
    """
    from motifocal.bridges.musubi_cache import weight_jobs

    _run(weight_jobs(dataset_config, family, settings_of(options)), force)


@weights.command(epilog="""
\b
Examples:
  motifocal weights ltx dataset/.precomputed
  motifocal weights ltx /fast/precomputed --clips dataset/
""")
@click.argument("root", type=FOLDER)
@click.option("--clips", type=FOLDER,
              help="The folder of the table that was processed; / for clips outside of it, whose "
              "latents are named by their whole path.  [default: the one ROOT is in]")
@click.option("--latents", default="latents", show_default=True,
              help="Folder of the video's latents in ROOT: latents_dir of the configuration.")
@click.option("--spatial-stride", type=click.IntRange(1), default=32, show_default=True,
              help="Pixels a latent is wide and high: of the autoencoder.")
@old_option("--stride", "--spatial-stride", "spatial_stride")
@click.option("--temporal-stride", type=click.IntRange(1), default=8, show_default=True,
              help="Frames in a latent after the first: of the autoencoder.")
@old_option("--later", "--temporal-stride", "temporal_stride")
@click.option("--force", is_flag=True, help="Measure those that are there already as well.")
@old_option("--anew", "--force", "force", True)
@heatmap_options
@quiet_option
def ltx(
    root: Path, clips: Path | None, latents: str, spatial_stride: int, temporal_stride: int,
    force: bool, **options: Any,
) -> None:  # fmt: skip
    """Write ROOT/motion_weights for the LTX-2 trainer.

    ROOT is preprocessed_data_root of its configuration, the folder with latents/ and conditions/.
    """
    from dataclasses import replace

    from motifocal.bridges.ltx_weights import GRID, weight_jobs

    grid = replace(GRID, spatial_stride=spatial_stride, temporal_stride=temporal_stride)
    settings = settings_of(options)
    _run(weight_jobs(root, clips, settings, latents=latents, grid=grid), force)


def _run(jobs: list[Job], force: bool) -> None:
    """Run the jobs, say what came of them, and end with 1 where some were refused."""
    from motifocal.bridges.cached_latents import make_weights

    with progress("weighing clips", len(jobs)) as bar:
        outcome = make_weights(jobs, force=force, progress=lambda name: bar.advance())
    for name, reason in outcome.refused.items():
        click.echo(f"refused: {name}: {reason}", err=True)
    counts = (outcome.made, outcome.kept, len(outcome.refused))
    click.echo("{} made, {} there before, {} refused".format(*counts))
    if outcome.refused:
        sys.exit(1)
