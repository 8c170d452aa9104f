"""Encode images with a frozen CLIP image encoder into the tokens that cross-attention may see.

Shape letters: B batch, H W pixels, S side of the images that the encoder takes, N tokens, E width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from motifocal.models.autoencoder import computing_device

#: Mean and standard deviation of red, green and blue that CLIP was trained with.
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def image_encoder_config(
    width: int, heads: int, layers: int, patch: int, side: int, projection: int
) -> CLIPVisionConfig:
    """An OpenCLIP image tower as transformers' class: exact gelu, four times as wide inside."""
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=heads,
        num_hidden_layers=layers,
        patch_size=patch,
        image_size=side,
        projection_dim=projection,
        hidden_act="gelu",
    )


@torch.no_grad()
def encode_images(encoder: CLIPVisionModelWithProjection, images: Tensor) -> Tensor:
    """Tokens `(B, N, E)` of images `(B, 3, H, W)` in [-1, 1]: the class token, then the patches.

    They are those of the last block, without the norm that follows it, as in VideoCrafter1 and
    DynamiCrafter.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images should be (B, 3, H, W), got {tuple(images.shape)}")
    side: Any = encoder.config.image_size
    pixels = normalised(images.float(), side).to(computing_device(encoder), encoder.dtype)
    return encoder(pixel_values=pixels).last_hidden_state


def grey_tokens(encoder: CLIPVisionModelWithProjection) -> Tensor:
    """Tokens `(1, N, E)` of uniform grey, which stand for no image, as in the published models."""
    side: Any = encoder.config.image_size
    return encode_images(encoder, torch.zeros(1, 3, side, side))


def normalised(images: Tensor, side: int) -> Tensor:
    """Images `(B, 3, H, W)` in [-1, 1] as `(B, 3, S, S)` with CLIP's mean and deviation.

    The whole image is squeezed to the square: blurred where it shrinks, then bicubic with the
    corners aligned. This is how the published models were trained.
    """
    small = functional.interpolate(
        _blurred(images, side), (side, side), mode="bicubic", align_corners=True
    )
    mean, deviation = (small.new_tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return ((small + 1) / 2 - mean) / deviation


def _blurred(images: Tensor, side: int) -> Tensor:
    """Each axis blurred with a Gaussian of half the factor that it shrinks by beyond 1."""
    if max(images.shape[-2:]) <= side:
        return images
    for axis in (-2, -1):
        deviation = max((images.shape[axis] / side - 1) / 2, 0.001)
        taps = int(max(4 * deviation, 3))
        taps += 1 - taps % 2
        place = torch.arange(taps, dtype=images.dtype, device=images.device) - taps // 2
        kernel = torch.exp(-(place**2) / (2 * deviation**2))
        moved = images.transpose(axis, -1)
        rows = moved.reshape(-1, 1, moved.shape[-1])
        padded = functional.pad(rows, (taps // 2, taps // 2), mode="reflect")
        rows = functional.conv1d(padded, (kernel / kernel.sum())[None, None])
        images = rows.reshape(moved.shape).transpose(axis, -1)
    return images
