"""The plain loss, as the trainers of each family write it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def over_all(prediction: Tensor, target: Tensor) -> Tensor:
    """DiffSynth-Studio for Wan, HunyuanVideo 1.5's train.py, diffusers' examples."""
    return F.mse_loss(prediction.float(), target.float())


def without_first(prediction: Tensor, target: Tensor) -> Tensor:
    """DiffSynth-Studio for Wan 2.2 TI2V-5B: the first latent is cut off, then the mean."""
    return F.mse_loss(prediction[:, :, 1:].float(), target[:, :, 1:].float())


def masked_tokens(prediction: Tensor, target: Tensor, first: int) -> Tensor:
    """Lightricks' LTX-2 trainer: masked mean over the mean of the mask, a sample at a time."""
    mask = torch.ones(*prediction.shape[:2], 1)
    mask[:, :first] = 0
    squared = (prediction - target).pow(2) * mask
    return (squared.mean(dim=[-2, -1]) / mask.mean(dim=[-2, -1])).mean()


def weighted(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """CogVideo's trainers and those of SVD: a weight for the timestep inside the mean."""
    each = weight.view(-1, 1, 1, 1, 1) * (prediction - target) ** 2
    return each.reshape(len(each), -1).mean(1).mean()
