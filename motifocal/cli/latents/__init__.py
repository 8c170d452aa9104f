"""`motifocal latents`: which frames and pixels the latents of a model cover."""

from __future__ import annotations

import click

from motifocal.cli.lazy import LazyGroup, Table

COMMANDS: Table = {
    "probe": ("latents.probe", "probe", "Read the latent grid off a model's autoencoder."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def latents() -> None:
    """Latent grids: which frames and pixels of a clip each latent covers."""
