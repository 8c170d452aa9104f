"""What the loss gets of a mask that is pooled to latents by mean, maximum or root mean square.

    .venv/bin/python scripts/pooling_study.py

prints the table of docs/heatmap.md on pooling, from the exact masks of synthetic clips.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import numpy as np
from heatmap_study import displaces, markdown
from numpy.typing import NDArray

from motifocal.scenes.render import render
from motifocal.scenes.stage import SCENARIOS, make_stage

STRIDE = 8
POOLS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "mean": lambda cells: cells.mean(-1),
    "maximum": lambda cells: cells.max(-1),
    "root mean square": lambda cells: np.sqrt(np.square(cells).mean(-1)),
}


def masks(rounds: int, seed: int, size: int) -> list[NDArray[np.float32]]:
    """Return the exact masks (F, H, W) of every scenario in which something moves."""
    shares = []
    for number, name in enumerate(sorted(SCENARIOS) * rounds):
        stage = make_stage(name, "eval", seed + number)
        actions = [action for action in stage.actions if displaces(stage, action)]
        if actions:
            clip = render(stage, actions[number % len(actions)], size=size)
            shares.append(clip.mask[:-1].astype(np.float32))
    return shares


def measured(mask: NDArray[np.float32], name: str) -> tuple[float, float, float]:
    """Return the mean of m'^2 where anything moves, and the weight's share and size there."""
    frames, height, width = mask.shape
    cells = mask.reshape(frames, height // STRIDE, STRIDE, width // STRIDE, STRIDE)
    cells = cells.transpose(0, 1, 3, 2, 4).reshape(frames, -1, STRIDE * STRIDE)
    area, weight = cells.mean(-1), np.square(POOLS[name](cells))
    on = float((weight * area).sum() / weight.sum())
    return float(weight[area > 0].mean()), on, float(weight.mean() / area.mean())


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True)
@click.option("--seed", default=1000, show_default=True)
def main(rounds: int, seed: int) -> None:
    """Print the table of docs/heatmap.md on pooling."""
    rows = []
    for size in (64, 320):
        clips = [mask for mask in masks(rounds, seed, size) if mask.any()]
        for name in POOLS:
            means = np.mean([measured(mask, name) for mask in clips], axis=0)
            rows.append([f"{size} pixels, {name}", *(f"{value:.2f}" for value in means)])
    header = ["", "mean of m'² in touched latents", "share of the weight on what moves",
              "weight / moving area"]  # fmt: skip
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
