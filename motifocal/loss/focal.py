"""Compute the motion focal loss per sample from prediction, target and heatmap at latents.

Letters: B batch, C channels, F' latent frames, h w latents, N tokens.

    L = L_diffusion + lambda * L_motif,    L_motif = E || m' * (target - prediction) ||^2

(the motion focal loss of MotiF, arXiv 2412.16153). m' lies inside the square. Only the difference
of target and prediction enters, so noise, v and flow-matching predictions are all alike here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from motifocal.loss.neighbours import NEIGHBOURS, neighbour_part


class MotionFocalLoss(NamedTuple):
    """The loss and its two parts, each (B,), float32 (float64 for float64 inputs).

    ``total = diffusion + weight * motion``; a timestep weight is already inside all three.
    """

    total: Tensor
    diffusion: Tensor
    motion: Tensor


def motion_focal_loss(
    prediction: Tensor,
    target: Tensor,
    heatmap: Tensor | None,
    *,
    weight: float = 1.0,
    valid: Tensor | None = None,
    timestep_weight: Tensor | None = None,
    variant: str = "motif",
    check: bool = True,
    latents: Tensor | None = None,
    clean: Tensor | None = None,
    noise_level: Tensor | None = None,
) -> MotionFocalLoss:
    """Compute the motion focal loss of every sample, unreduced over the batch; draws no randomness.

    Args:
        prediction: (B, C, F', h, w), (B, F', C, h, w), tokens (B, N, C) or any other layout.
        target: same shape as ``prediction``.
        heatmap: m' in [0, 1], shape of ``prediction`` with size 1 for the channels. May be None
            for the variants that use none: "none" and ``neighbours.NEIGHBOURS``.
        weight: lambda, at least 0. With 0 the total is the plain mean squared error bit for bit.
        valid: 0/1, broadcastable to ``prediction``; 0 takes a location out of the loss. All means
            are over valid elements; elsewhere the gradient is exactly zero, whatever is there.
        timestep_weight: (B,), multiplies both parts (min-SNR and the like).
        variant: a key of ``VARIANTS``, or of ``neighbours.NEIGHBOURS``: published losses that
            compare frames, for (B, C, F', h, w) without ``valid``.
        check: look at the values of ``heatmap`` and ``valid`` (not only at the shapes). On an
            accelerator this waits for the device once a step; call ``check_values`` where the maps
            are made, on the CPU, and pass False to be rid of it.
        latents: the clean latents, like ``prediction``, for the variants "consistency", "drift"
            and "discrepancy".
        clean: (B,), error of the clean latents per error of the prediction, for the first two.
        noise_level: (B,) in [0, 1], for "drift": sigma of a flow, t / T of a schedule.

    Raises:
        ValueError: on wrong shapes, a heatmap outside [0, 1] or with nan, a mask that is not 0/1,
            a sample without a valid element, a negative weight, an unknown variant.
    """
    _check_arguments(prediction, target, heatmap, weight, valid, timestep_weight, variant)
    if check:
        check_values(heatmap, valid)

    # One difference in float32 (bfloat16 keeps 8 bits: too few to square and to sum).
    wide = torch.float64 if torch.float64 in (prediction.dtype, target.dtype) else torch.float32
    difference = prediction.to(wide) - target
    if valid is not None:
        # Before the square: masking after it would leave 0 * nan in the backward pass.
        difference = torch.where(valid.to(torch.bool), difference, 0.0)
    error = difference.square()

    # The plain loss, in the same order of operations as mse_loss(reduction="none").mean(...).
    inner = tuple(range(1, error.ndim))
    if valid is None:
        diffusion = error.mean(inner)
    else:
        diffusion = error.sum(inner) / valid.to(torch.bool).expand_as(error).sum(inner)

    # The motion part. The channels are summed first, so the product with m' is a small tensor.
    if variant in NEIGHBOURS:
        motion = neighbour_part(difference, variant, latents, clean, noise_level)
    elif heatmap is None:
        motion = torch.zeros_like(diffusion)
    else:
        channels = tuple(d for d in inner if heatmap.shape[d] != error.shape[d])
        energy = error.sum(channels, keepdim=True) if channels else error
        count = _valid_elements(error, valid, channels)
        motion = VARIANTS[variant](energy, heatmap.to(wide), count)

    if timestep_weight is not None:
        diffusion, motion = diffusion * timestep_weight, motion * timestep_weight
    # weight 0 leaves the motion part out of the graph: even 0 * inf must not touch the plain loss.
    total = diffusion if weight == 0 else diffusion + weight * motion
    return MotionFocalLoss(total, diffusion, motion)


#: The largest weight of a moving location in "normalised", in units of the plain loss's weight.
MOST_GAIN = 20.0

# Each variant: energy (squared error summed over channels; 0 where not valid), heatmap and count
# (valid elements behind each location), all of the heatmap's shape -> motion part (B,).


def _motif(energy: Tensor, heatmap: Tensor, count: Tensor) -> Tensor:
    return (energy * heatmap.square()).flatten(1).sum(1) / count.flatten(1).sum(1)


def _inverse(energy: Tensor, heatmap: Tensor, count: Tensor) -> Tensor:
    return _motif(energy, 1 - heatmap, count)


def _none(energy: Tensor, heatmap: Tensor, count: Tensor) -> Tensor:
    return energy.new_zeros(energy.shape[0])


def _normalised(energy: Tensor, heatmap: Tensor, count: Tensor) -> Tensor:
    """Average with the squared heatmap as weights: small movers count like large.

    A moving location then weighs 1 / (mean of m'^2) times what it weighs in the plain loss. That
    gain is limited to MOST_GAIN: without a limit a clip with one moving latent would own the batch.
    """
    squared = heatmap.square()
    mass = (squared * count).flatten(1).sum(1)
    least = count.flatten(1).sum(1) / MOST_GAIN
    return (energy * squared).flatten(1).sum(1) / torch.maximum(mass, least)


VARIANTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "motif": _motif,  # the paper's loss
    "inverse": _inverse,  # its ablation: weight 1 - m'
    "none": _none,  # the plain loss
    "normalised": _normalised,  # extension: independent of the size of what moves
}


def check_values(heatmap: Tensor | None, valid: Tensor | None = None) -> None:
    """Raise ValueError for a heatmap outside [0, 1] or with nan, or a mask that is no 0/1 mask.

    Waits for the device (once if all is well) when the tensors are not on the CPU.
    """
    good = []
    if heatmap is not None:
        good.append(((heatmap >= 0) & (heatmap <= 1)).all())
    if valid is not None:
        good.append(((valid == 0) | (valid == 1)).all())
        good.append(valid.flatten(1).any(1).all())
    if not good or bool(torch.stack(good).all()):
        return
    if heatmap is not None and not good[0]:
        raise ValueError(
            f"heatmap should be in [0, 1], got values from {heatmap.min().item():.4g} "
            f"to {heatmap.max().item():.4g} and {int(heatmap.isnan().sum())} nan"
        )
    assert valid is not None
    if not ((valid == 0) | (valid == 1)).all():
        raise ValueError(
            f"valid should hold 0 and 1 only, got values from {valid.min().item():.4g} "
            f"to {valid.max().item():.4g}"
        )
    empty = (~valid.flatten(1).any(1)).nonzero().flatten().tolist()
    raise ValueError(f"valid should keep at least one element a sample, got none in {empty}")


def _valid_elements(error: Tensor, valid: Tensor | None, channels: tuple[int, ...]) -> Tensor:
    """Count valid elements behind each location of the heatmap: whole numbers in its shape."""
    shape = [1 if d in channels else n for d, n in enumerate(error.shape)]
    if valid is None:
        per_location = math.prod(error.shape[d] for d in channels)
        return torch.full((1,) * error.ndim, per_location, device=error.device).expand(shape)
    counted = valid.to(torch.bool).expand_as(error)
    return counted.sum(channels, keepdim=True) if channels else counted.to(torch.int64)


def _check_arguments(
    prediction: Tensor,
    target: Tensor,
    heatmap: Tensor | None,
    weight: float,
    valid: Tensor | None,
    timestep_weight: Tensor | None,
    variant: str,
) -> None:
    """Raise ValueError for what can be told without looking at the values of a tensor."""
    shape = tuple(prediction.shape)
    if prediction.ndim < 2:
        raise ValueError(f"prediction should be (B, ...) with 2 dimensions or more, got {shape}")
    if target.shape != prediction.shape:
        raise ValueError(f"target should be {shape}, got {tuple(target.shape)}")
    if variant not in VARIANTS and variant not in NEIGHBOURS:
        known = sorted([*VARIANTS, *NEIGHBOURS])
        raise ValueError(f"variant should be one of {known}, got {variant!r}")
    if variant in NEIGHBOURS and valid is not None:
        raise ValueError(f'valid should be None for the variant "{variant}", which compares frames')
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(f"weight should be finite and at least 0, got {weight}")
    if heatmap is None and variant != "none" and variant not in NEIGHBOURS:
        raise ValueError(f'heatmap should be a tensor for the variant "{variant}", got None')
    if heatmap is not None:
        _check_heatmap_shape(tuple(heatmap.shape), shape)
    if valid is not None and not _broadcasts(tuple(valid.shape), shape):
        raise ValueError(f"valid should broadcast to {shape}, got {tuple(valid.shape)}")
    if timestep_weight is not None and tuple(timestep_weight.shape) != shape[:1]:
        raise ValueError(
            f"timestep_weight should be {shape[:1]}, got {tuple(timestep_weight.shape)}"
        )


def _check_heatmap_shape(got: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Allow size 1 in one dimension, the channels: more would hide a map of the wrong grid."""
    broadcast = [d for d, (a, b) in enumerate(zip(got, shape, strict=False)) if a != b]
    if not _broadcasts(got, shape) or len(broadcast) > 1 or 0 in broadcast:
        expected = (shape[0], shape[1], 1) if len(shape) == 3 else (shape[0], 1, *shape[2:])
        raise ValueError(
            f"heatmap should be {expected} or {shape} with the channels' size 1, got {got}"
        )


def _broadcasts(got: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(got) == len(shape) and all(a in (1, b) for a, b in zip(got, shape, strict=True))
