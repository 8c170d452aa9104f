"""Measure a network's loss on held-out clips where things move, relative to the mean loss.

That is Figure 6 of the paper (arXiv 2412.16153): a network that copies the picture has a low loss
on average and a high one in the moving region, and the motion focal loss brings the two closer.
The quotient is the same for noise and v predictions: at one time their errors are proportional.

Letters: B batch, C channels, F' latent frames, h w latents, N clips, T timesteps.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from motifocal.data.shards import Shards
from motifocal.extras import require
from motifocal.files.atomic import replacing
from motifocal.models.image.inputs import image_inputs
from motifocal.models.schedule import NoiseSchedule
from motifocal.models.unet import TI2VUNet
from motifocal.training.checkpoint import mixed_seed
from motifocal.training.loop import TextFeatures

MOVING = 0.5  # of the pooled heatmap: where more than half of a latent moves
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RegionLosses:
    """Mean squared errors of each clip at each time.

    timesteps (T,); mean (T, N), over all locations; moving (T, N), over the moving ones, nan for a
    clip in which nothing moves.
    """

    timesteps: npt.NDArray[np.int64]
    mean: Values
    moving: Values

    @property
    def clips(self) -> int:
        """The number of clips in which something moves: those that count for the quotient."""
        return int(self._has_motion.sum())

    @property
    def _has_motion(self) -> npt.NDArray[np.bool_]:
        return np.isfinite(self.moving[0])

    def ratio(self) -> Values:
        """Return (T,): moving loss over mean loss, each averaged over the clips that move."""
        moving, mean = self.means()
        return np.asarray(moving / mean)

    def means(self, clips: npt.NDArray[Any] | None = None) -> tuple[Values, Values]:
        """Return both losses (T,), averaged over `clips`, by default all in which things move."""
        chosen = self._has_motion if clips is None else clips
        return self.moving[:, chosen].mean(1), self.mean[:, chosen].mean(1)

    def interval(self, seed: int = 0, draws: int = 1000) -> tuple[Values, Values]:
        """Return the middle 95 % (T,), (T,) of the quotient over clips drawn with replacement."""
        rng = np.random.default_rng(seed)
        clips = np.flatnonzero(self._has_motion)
        means = (self.means(rng.choice(clips, len(clips))) for _ in range(draws))
        ratios = np.stack([moving / mean for moving, mean in means])
        low, high = np.quantile(ratios, (0.025, 0.975), axis=0)
        return low, high


@torch.no_grad()
def evaluate_loss_ratio(
    unet: TI2VUNet, shards: Shards, text: TextFeatures, schedule: NoiseSchedule,
    timesteps: Sequence[int], *, clips: int | None = None, batch: int = 16, seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> RegionLosses:  # fmt: skip
    """Measure the losses of the first `clips` clips (all by default), on the device of `unet`.

    The noise is a function of (seed, clip, time), so every network sees the same. `progress` is
    called with the number of clips that each forward pass has done.

    Raises:
        ValueError: there is no clip in which anything moves, or a loss is not finite.
    """
    unet.eval()
    count = len(shards) if clips is None else min(clips, len(shards))
    mean, inside = np.empty((len(timesteps), count)), np.empty((len(timesteps), count))
    for begin in range(0, count, batch):
        chosen = list(range(begin, min(begin + batch, count)))
        data = shards.batch(chosen).to(unet.device)
        latents, fps = data.latents, data.fps
        features = text(data.captions).to(unet.device)
        moving = (data.heatmap > MOVING).float().cpu()
        picture = image_inputs(unet.unet_config, latents[:, :, 0], data.image_tokens,
                               data.motion_score, data.motion_mask)
        for row, t in enumerate(timesteps):
            noise = torch.stack([_noise(latents.shape[1:], seed, k, t) for k in chosen])
            noise, times = noise.to(latents), torch.full((len(chosen),), t, device=unet.device)
            prediction = unet(schedule.add_noise(latents, noise, times), times, features, fps,
                              **picture)
            error = (prediction - schedule.target(latents, noise, times)).square().cpu()
            mean[row, chosen] = error.flatten(1).mean(1)
            inside[row, chosen] = _inside(error, moving)
            if progress is not None:
                progress(len(chosen))
    if not np.isfinite(mean).all():
        raise ValueError("the network's loss should be finite, got nan or infinity")
    if not np.isfinite(inside).any():
        raise ValueError(f"something should move in the {count} clips, but nothing does")
    return RegionLosses(np.asarray(timesteps, np.int64), mean, inside)


def _noise(shape: torch.Size, seed: int, clip: int, t: int) -> Tensor:
    generator = torch.Generator().manual_seed(mixed_seed(seed, clip, t))
    return torch.randn(shape, generator=generator)


def _inside(error: Tensor, moving: Tensor) -> Values:
    """Return (B,): mean of `error` (B, C, F', h, w) where `moving` (B, 1, F', h, w) is 1, nan if
    nowhere."""
    energy = (error.mean(1, keepdim=True) * moving).flatten(1).sum(1).double()
    places = moving.flatten(1).sum(1).double()
    return torch.where(places > 0, energy / places.clamp(min=1), torch.nan).numpy()


def middles(bins: int) -> list[int]:
    """Return the middle timestep of each of `bins` equal parts of 0 to 999."""
    if not 1 <= bins <= 1000:
        raise ValueError(f"bins should be from 1 to 1000, got {bins}")
    return [int((k + 0.5) * 1000 / bins) for k in range(bins)]


def write_csv(path: Path, results: Mapping[str, RegionLosses]) -> None:
    """Write a row for each model and time: the quotient with its interval, and the two losses.

    The column "hot" is the earlier name of "moving", for one more release.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["model", "timestep", "ratio", "low", "high", "hot", "mean", "clips",
                         "moving"])
        for name, losses in results.items():
            columns = zip(losses.timesteps, losses.ratio(), *losses.interval(), *losses.means(),
                          strict=True)
            for t, *values in columns:
                numbers = [f"{value:.6g}" for value in values]
                writer.writerow([name, int(t), *numbers, losses.clips, numbers[3]])


def draw_plot(path: Path, results: Mapping[str, RegionLosses]) -> None:
    """Plot the quotient over time, one line a model, with its interval; a PNG.

    Raises:
        ValueError: matplotlib is not installed.
    """
    require("matplotlib", "train", "the plot needs")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for name, losses in results.items():
        low, high = losses.interval()
        (line,) = axes.plot(losses.timesteps, losses.ratio(), marker="o", markersize=3, label=name)
        axes.fill_between(losses.timesteps, low, high, alpha=0.15, color=line.get_color())
    axes.axhline(1.0, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="timestep (999 is noise)", ylabel="loss where it moves / mean loss")
    axes.legend()
    figure.savefig(path)
