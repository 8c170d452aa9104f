"""How large the losses of other papers are on prepared clips, beside the plain loss.

    .venv/bin/motifocal prepare scenes -o shards/ --model motifocal/bundled --size 64 \\
        --clips 2048 --background living --level lively --evidence pixels --dis-preset medium
    .venv/bin/python scripts/losses_study.py shards/

prints the figures of docs/losses.md on LaMo and LTD. The error of the prediction is independent
noise in the clean latents.
"""

from __future__ import annotations

from pathlib import Path

import click
import torch
from torch import Tensor

from motifocal.data.shards import Shards
from motifocal.loss.focal import motion_focal_loss
from motifocal.loss.neighbours import discrepancy_weight

MOVES = 0.5  # of the heatmap, in [0, 1]


def mean_weights(latents: Tensor, heatmap: Tensor) -> tuple[float, float]:
    """Return the mean weight of "discrepancy" where the heatmap is above `MOVES`, and elsewhere.

    latents (B, C, F', h, w), heatmap (B, 1, F', h, w).
    """
    weight, moves = discrepancy_weight(latents), heatmap[:, :, 1:] > MOVES
    return weight[moves].mean().item(), weight[~moves].mean().item()


def ratio(latents: Tensor, variant: str, deviation: float, seed: int) -> float:
    """Return the motion part over the plain loss for an error of this standard deviation."""
    error = deviation * torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
    loss = motion_focal_loss(latents + error, latents, None, variant=variant, latents=latents)
    return (loss.motion.mean() / loss.diffusion.mean()).item()


@click.command()
@click.argument("shards", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--clips", type=click.IntRange(1), default=64, show_default=True)
@click.option("--deviation", default=0.5, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(shards: Path, clips: int, deviation: float, seed: int) -> None:
    """Print the weights of "discrepancy", and the size of each loss that needs clean latents."""
    source = Shards(shards)
    batch = source.batch(list(range(0, len(source), max(1, len(source) // clips)))[:clips])
    on, off = mean_weights(batch.latents, batch.heatmap)
    print(f"{len(batch.latents)} clips, latents of standard deviation {batch.latents.std():.2f}")
    print(f"discrepancy: mean weight {on:.2f} where the heatmap is above {MOVES:g}, {off:.2f} "
          "elsewhere")
    for variant in ("consistency", "drift", "discrepancy"):
        times = ratio(batch.latents, variant, deviation, seed)
        print(f"{variant}: {times:.3g} times the plain loss, error {deviation:g}")


if __name__ == "__main__":
    main()
