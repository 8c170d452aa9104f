"""`motifocal latents probe`: determine the latent grid of a model's autoencoder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from motifocal.cli.output.progress import announce, quiet_option

if TYPE_CHECKING:
    from motifocal.loss.grid_probe import ProbedGrid
    from motifocal.loss.latent_grid import LatentGeometry


@click.command(epilog="""\b
Examples:
  motifocal latents probe Wan-AI/Wan2.2-TI2V-5B-Diffusers
  motifocal latents probe my-model/vae --json
""")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print the grid as a JSON object.")
@quiet_option
def probe(model: str, as_json: bool) -> None:
    """Read the latent grid off the autoencoder of MODEL, by changing frames and pixels.

    MODEL is a folder of a diffusers pipeline or of an autoencoder, or a hub id. Only the
    autoencoder's configuration is read: the grid follows from the architecture, so that it is
    built with random weights. Printed: the strides, the numbers of frames that a clip may have,
    which families have the same grid, and what was tried. Takes minutes on a CPU for an
    autoencoder of published size.
    """
    announce("building the autoencoder")
    from motifocal.loss.autoencoder_config import build_autoencoder, read_autoencoder_config
    from motifocal.loss.grid_probe import probe_grid
    from motifocal.loss.latent_grid import LatentGeometry

    config = read_autoencoder_config(model)
    autoencoder = build_autoencoder(config)
    announce("encoding clips with a changed frame")
    grid = probe_grid(autoencoder, LatentGeometry)
    if as_json:
        families = _families(grid)
        click.echo(json.dumps({**grid.geometry.to_json(), "measured": grid.measured,
                               "families": families, "notes": grid.notes}, indent=1))  # fmt: skip
    else:
        click.echo("\n".join(_lines(config["_class_name"], grid)))


def _families(grid: ProbedGrid[LatentGeometry]) -> list[str]:
    """Name the families whose autoencoder has the same grid."""
    from motifocal.loss.latent_grid import FAMILIES

    def covered(geometry: object) -> tuple[object, ...]:
        names = ("spatial_stride", "temporal_stride", "block_frames", "last_block_frames")
        return tuple(getattr(geometry, name) for name in names)

    return [name for name, row in FAMILIES.items() if covered(row) == covered(grid.geometry)]


def _lines(name: str, grid: ProbedGrid[LatentGeometry]) -> list[str]:
    geometry = grid.geometry
    example = next(n for n in range(6, 1000) if geometry.nearest_frames(n) == [n])
    spans = [str(start) if stop == start + 1 else f"{start}-{stop - 1}"
             for start, stop in geometry.covered_frames(example)]  # fmt: skip
    settings = ", ".join(f"{key}={value}" for key, value in (
        ("spatial_stride", geometry.spatial_stride), ("temporal_stride", geometry.temporal_stride),
        ("block_frames", geometry.block_frames), ("last_block_frames", geometry.last_block_frames),
    ) if value is not None)  # fmt: skip
    return [
        f"{name}: {'measured' if grid.measured else 'as the class states; not measured'}",
        f"  pixels a side of a latent: {geometry.spatial_stride}",
        f"  frames of a clip: {geometry.frame_rule}",
        f"  frames of the latents of a clip of {example}: {', '.join(spans)}",
        f"  families with this grid: {', '.join(_families(grid)) or 'none'}",
        f"  LatentGeometry({settings})",
        *(f"  tried: {note}" for note in grid.notes),
        "  An autoencoder does not tell whether the first latent enters clean, nor the layout of "
        "the model: see docs/latents.md.",
    ]
