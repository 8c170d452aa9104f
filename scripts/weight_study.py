"""How much weight the losses put on what moves, on each kind of scenes of docs/proof.md.

    .venv/bin/python scripts/weight_study.py

prints the table of docs/proof.md: the exact masks of synthetic clips beside the heatmaps that the
runs there are trained with, both on the latent grid. F frames, H W pixels, h w latents.
"""

from __future__ import annotations

import click
import numpy as np
from ablations_plan import WORLDS
from heatmap_study import displaces, markdown
from numpy.typing import NDArray

from motifocal.cli.options.scenes import variant_of
from motifocal.cli.prepare import prepare
from motifocal.loss.focal import MOST_GAIN
from motifocal.loss.latent_geometry import LatentGeometry
from motifocal.loss.latent_grid import pool
from motifocal.motion.heatmap import clip_heatmap
from motifocal.motion.settings import PIXEL_SETTINGS
from motifocal.scenes.render import render
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.variant import SceneVariant

GRID = LatentGeometry(8, 1)  # of the bundled autoencoder
COLUMNS = ("scenes", "clips", "area that moves", "m'² there", "weight there, λ = 1", "λ = 5",
           "normalised", "of the added weight, on what moves")


def measured(area: NDArray[np.float32], heatmap: NDArray[np.float32]) -> tuple[float, ...]:
    """What a clip's loss gets, of (F, h, w) each: the share of each position that truly moves, m'.

    Returns the mean area, the mean of m'² over what moves, that of the weight of "normalised", and
    the share of the sum of m'² that is there.
    """
    squared = np.square(heatmap)
    normalised = squared / max(float(squared.mean()), 1 / MOST_GAIN)
    mass = float(area.sum())
    return (float(area.mean()), float((area * squared).sum()) / mass,
            float((area * normalised).sum()) / mass, float((area * squared).sum() / squared.sum()))


def clips_of(variant: SceneVariant, rounds: int, seed: int, size: int) -> NDArray[np.float64]:
    """Measure clips of every scenario in which something moves: (clips, 4), see `measured`."""
    rows = []
    for number, name in enumerate(sorted(SCENARIOS) * rounds):
        stage = make_stage(name, "train", seed + number, variant)
        actions = [action for action in stage.actions if displaces(stage, action)]
        if actions:
            clip = render(stage, actions[number % len(actions)], size=size)
            heatmap = clip_heatmap(clip.frames, PIXEL_SETTINGS)
            maps = (pool(x, GRID)[0, 0] for x in (clip.mask.astype(np.float32), heatmap))
            rows.append(measured(*maps))
    return np.array(rows)


def variant_named(world: str) -> SceneVariant:
    """The scenes that a world of the ablations is drawn with."""
    words = ["scenes", "-o", "unused", "--model", ".", *WORLDS[world]]
    return variant_of(prepare.make_context("prepare", words).params)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=6, show_default=True,
              help="Clips of each scenario.")
@click.option("--seed", default=5000, show_default=True)
@click.option("--size", default=64, show_default=True, help="Side of the clips in pixels.")
def main(rounds: int, seed: int, size: int) -> None:
    """Print the table of docs/proof.md on the weight of what moves."""
    rows = []
    for world in WORLDS:
        found = clips_of(variant_named(world), rounds, seed, size)
        area, squared, normalised, share = found.mean(0)
        rows.append([world, str(len(found)), f"{area:.1%}", f"{squared:.2f}", f"{1 + squared:.2f}",
                     f"{1 + 5 * squared:.1f}", f"{1 + normalised:.1f}", f"{share:.0%}"])
    print(markdown(COLUMNS, rows))


if __name__ == "__main__":
    main()
