"""Show the prepared shards: their paths, and how much of their clips moves."""

from __future__ import annotations

from pathlib import Path

import click

from motifocal.cli.output.progress import tracked


def show_shards(folder: Path, *, webdataset: bool) -> None:
    """Write tars if asked for, and print the folder and the clips' moving fractions."""
    from motifocal.data.preparing.webdataset import write_tars
    from motifocal.data.shards import Shards

    shards = Shards(folder)
    if webdataset:
        for _ in tracked(write_tars(shards), "writing tars", len(shards.files)):
            pass
    share = shards.moving_fractions()
    click.echo(
        f"{len(shards)} clips; moving fraction of a clip: mean {share.mean():.1%}, "
        f"least {share.min():.1%}, most {share.max():.1%}; "
        f"nothing moves in {(share == 0).sum()}, more than half in {(share > 0.5).sum()}",
        err=True,
    )
    click.echo(folder)
