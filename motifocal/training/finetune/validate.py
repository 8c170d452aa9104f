"""Measure the loss on held-out clips, always at the same timesteps and with the same noise.

Letters: B batch, C channels, F' latent frames, h w latents.

The paper's Figure 6 as training goes on: the loss where the clips move and where they stand still,
at fixed quantiles of the times that the model is trained at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from motifocal.loss.latent_grid import to_layout
from motifocal.training.finetune.cache import ClipCache
from motifocal.training.finetune.run import FinetuneRun

QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
MOST_CLIPS = 32
MOVING = 0.5  # a latent moves from this weight on
_SEEDS = 99  # among whose times the quantiles are looked for


@dataclass(frozen=True)
class HeldOut:
    """Squared errors of held-out clips: (clips, quantiles, static or moving, sum and count)."""

    sums: Tensor

    def line(self) -> dict[str, float | None]:
        """Return the plain loss: overall, moving, static, and at each quantile.

        None for no place: where nothing moves, or all does; and for a loss that is not finite.
        """
        total, counts = self.sums.unbind(-1)
        static, moving = _means(total.sum((0, 1)), counts.sum((0, 1)))
        by_quantile = _means(total.sum((0, 2)), counts.sum((0, 2)))
        (overall,) = _means(total.sum()[None], counts.sum()[None])
        return {"held_out": overall, "moving": moving, "static": static,
                **{f"q{q:g}": loss for q, loss in zip(QUANTILES, by_quantile, strict=True)}}

    def of_clips(self) -> dict[str, list[float | None]]:
        """Return each clip's loss where it stands still and where it moves; None for no place."""
        totals, counts = self.sums.sum(1).unbind(-1)
        return {name: _means(totals[:, region], counts[:, region])
                for region, name in enumerate(("static", "moving"))}  # fmt: skip


def _means(totals: Tensor, counts: Tensor) -> list[float | None]:
    """Divide; None where that is not finite, since JSON has no nan."""
    return [mean if math.isfinite(mean) else None for mean in (totals / counts).tolist()]


@torch.no_grad()
def held_out_losses(run: FinetuneRun, clips: ClipCache) -> HeldOut:
    """Measure held-out clips, with the averaged weights where an average is kept."""
    network = run.accelerator.unwrap_model(run.network)
    count = min(len(clips), MOST_CLIPS)
    seeds = quantile_seeds(run, clips.batch([0], torch.device("cpu"))[0]["latents"])
    sums = torch.zeros(count, len(seeds), 2, 2, dtype=torch.float64)
    with averaged(run):
        for index in range(count):
            batch, weights = clips.batch([index], run.accelerator.device)
            for row, seed in enumerate(seeds):
                draw = run.family.draw(batch["latents"], [_generator(seed)], run.part)
                error = (run.family.forward(network, draw, batch) - draw.target).square()
                sums[index, row] = _parted(run, error, batch["latents"], weights).cpu()
    return HeldOut(sums)


def quantile_seeds(run: FinetuneRun, latents: Tensor) -> list[int]:
    """Return seeds whose times lie at the quantiles of those drawn for latents of this shape."""
    times = torch.cat([run.family.draw(latents, [_generator(seed)], run.part).time
                       for seed in range(_SEEDS)])  # fmt: skip
    order = times.argsort().tolist()
    return [order[round(q * (_SEEDS - 1))] for q in QUANTILES]


@contextmanager
def averaged(run: FinetuneRun) -> Iterator[None]:
    """Inside, the network has the averaged weights where an average is kept."""
    if run.average is None:
        yield
        return
    run.average.store(run.weights.values())
    run.average.copy_to(run.weights.values())
    try:
        yield
    finally:
        run.average.restore(run.weights.values())


def _parted(run: FinetuneRun, error: Tensor, latents: Tensor, weights: Tensor) -> Tensor:
    """Sum the errors and count them, static and moving: (2, 2); given latents are no part."""
    layout = run.family.in_layout
    counted = ~layout(run.family.given(latents).expand_as(latents))
    moves = to_layout(weights, run.family.geometry).expand_as(error) >= MOVING
    return torch.stack([
        torch.stack([error[counted & region].double().sum(), (counted & region).double().sum()])
        for region in (~moves, moves)
    ])  # fmt: skip


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
