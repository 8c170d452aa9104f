"""Make the weights of a trainer's cached latents from their clips, and report mismatches.

Letters: F' latent frames, h w latents. Shared by the trainers that keep latents on disk.
"""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from motifocal.data.clip_files import selection_heatmap
from motifocal.data.selection import Selection
from motifocal.data.trainer_rules import TRAINERS, misread
from motifocal.files.disk import NO_ROOM
from motifocal.loss.latent_grid import LatentGeometry, pool, valid_mask
from motifocal.media.codec import stored_display
from motifocal.motion.heatmap import HeatmapSettings

# With these every sample would fail, after its motion has been measured.
_NO_ROOM = (*NO_ROOM, errno.EROFS)


@dataclass(frozen=True)
class Job:
    """One sample of a trainer's cache.

    name: for people, and to list it where it is refused.
    done: whether its weight is there already and still right.
    make: measures and stores; ValueError or OSError where it cannot, in words.
    """

    name: str
    done: Callable[[], bool]
    make: Callable[[], None]


@dataclass
class WeightSummary:
    """What became of a trainer's samples. ``refused``: name -> why."""

    made: int = 0
    kept: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def make_weights(
    jobs: Iterable[Job], *, force: bool = False, progress: Callable[[str], None] | None = None
) -> WeightSummary:
    """Make the weights that are missing, one after the other; stop and call again to go on.

    force: make all of them, also those that are there. progress: called after each, with its name.

    Raises OSError where nothing can be written any more: the disk is full, or read only.
    """
    outcome = WeightSummary()
    for job in jobs:
        try:
            if not force and job.done():
                outcome.kept += 1
            else:
                job.make()
                outcome.made += 1
        except (ValueError, OSError) as error:  # a clip that cannot be read, or does not fit
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise
            outcome.refused[job.name] = " ".join(str(error).split())
        if progress is not None:
            progress(job.name)
    return outcome


def sample_weight(
    clip: Path, selection: Selection, geometry: LatentGeometry, settings: HeatmapSettings
) -> Tensor:
    """Return the weight (F', h, w) float16 in [0, 1] of selected frames, 0 at conditioned latents.

    Raises ValueError where the clip ends too early, or is to be shown in a way that the trainers
    ignore (turned, pixels that are not square, HDR, transparency): their latents are of another
    image.
    """
    # musubi-tuner and the LTX-2 trainer read alike.
    if reason := misread(TRAINERS["ltx"], stored_display(clip)):
        raise ValueError(f"{clip}: {reason}, and cache it anew")
    geometry.latent_frames(len(selection.indices))
    geometry.check_size(selection.height, selection.width)
    weight = pool(torch.from_numpy(selection_heatmap(clip, selection, settings)), geometry)
    weight = weight * valid_mask(geometry, len(selection.indices))
    return weight[0, 0].half().contiguous()


def weight_note(selection: Selection, geometry: LatentGeometry, settings: HeatmapSettings) -> str:
    """Return all that decided a weight as JSON: stored with it, to tell whether it still fits."""
    return json.dumps(
        {"selection": asdict(selection), "latents": geometry.to_json(),
         "settings": asdict(settings)},
        sort_keys=True,
    )


def check_weight(weight: Tensor, shape: tuple[int, ...], where: str) -> None:
    """Raise ValueError unless a batch's weights are of its own latents, (B, F', h, w)."""
    if tuple(weight.shape) != shape:
        raise ValueError(
            f"{where} should be {shape} like the latents, got {tuple(weight.shape)}; latents were "
            "cached after their weights: make the weights again"
        )


def check_motif_weight(weight: float) -> float:
    """Return lambda; raise ValueError where it is negative or not finite."""
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(f"motif_weight should be finite and at least 0, got {weight}")
    return weight


def weighted_residual(prediction: Tensor, target: Tensor, heat: Tensor) -> Tensor:
    """Return m' * (prediction - target) in float32, whose mean square is the loss's motion part.

    The difference is taken first, in float32. Two products of bfloat16 would each be rounded, and
    the loss of a good prediction would be made of that.
    """
    return heat.to(prediction.device, torch.float32) * (prediction.float() - target.float())
