"""Inputs and outputs of a sampling call: images, prompts, guidance, kinds of output.

Shape letters: B batch, F frames, C latent channels, H W pixels, h w latents, L tokens, D text
width, G guidance branches (2, or 1 where the guidance scale is 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from motifocal.media.picture import Pixels, read_image, resize_crop, upright_rgb
from motifocal.media.video import to_frames, to_tensor
from motifocal.models.autoencoder import encode
from motifocal.models.unet_config import UNetConfig

Picture: TypeAlias = "str | Path | Image.Image | Pixels | Tensor"
Generators: TypeAlias = "torch.Generator | list[torch.Generator]"
#: Called as (pipeline, index, timestep, {"latents": ...}).
StepCallback: TypeAlias = Callable[[Any, int, int, dict[str, Tensor]], "dict[str, Tensor] | None"]


@dataclass(frozen=True)
class Conditions:
    """All that the denoiser is told besides time and noise; constant over the steps.

    text (G B, L, D), first the branch without the prompt; fps (G B,); `image`, what
    `image_inputs` gives: in the branch without the prompt tokens say nothing, all else is as in
    the other.
    """

    text: Tensor
    fps: Tensor
    image: dict[str, Tensor]


def guide(without: Tensor, with_text: Tensor, scale: float, rescale: float = 0.0) -> Tensor:
    """Classifier-free guidance (arXiv 2207.12598), then the rescaling of arXiv 2305.08891.

    `rescale` brings the standard deviation of each sample back to that of `with_text`: fully
    with 1, not at all with 0.
    """
    guided = without + scale * (with_text - without)
    if rescale == 0:
        return guided
    axes = tuple(range(1, guided.ndim))
    factor = with_text.std(axes, keepdim=True) / guided.std(axes, keepdim=True)
    return guided * (rescale * factor + 1 - rescale)


def start_noise(
    shape: tuple[int, ...],
    device: torch.device,
    generator: Generators | None,
    latents: Tensor | None,
) -> Tensor:
    """Pure noise `(B, C, F, h, w)`, float32, drawn where the generator lives, or as given."""
    if isinstance(generator, list) and len(generator) != shape[0]:
        raise ValueError(f"generator should be one or {shape[0]}, got {len(generator)}")
    if latents is None:
        return randn_tensor(shape, generator, device, torch.float32)
    if tuple(latents.shape) != shape:
        raise ValueError(f"latents should be {shape}, got {tuple(latents.shape)}")
    return latents.to(device, torch.float32)


def picture_tensor(image: Picture, height: int, width: int) -> Tensor:
    """An image of any kind and size becomes `(3, height, width)` float32 in [-1, 1].

    Scaled without distortion until it covers the size, then cropped at the centre; transparency
    is composited on white. A PIL image is turned and converted as its file would be. A tensor
    should have the size already.
    """
    if isinstance(image, Tensor):
        if tuple(image.shape) != (3, height, width):
            raise ValueError(
                f"an image tensor should be (3, {height}, {width}), got {tuple(image.shape)}"
            )
        return image.float().cpu()
    if isinstance(image, str | Path):
        image = read_image(image)
    elif isinstance(image, Image.Image):
        image = upright_rgb(image)
    return to_tensor(resize_crop(image, height, width)[None])[:, 0]


def unit_range(videos: Tensor) -> Tensor:
    """Videos (B, 3, F, H, W) in [-1, 1] -> (B, F, 3, H, W) float32 in [0, 1]."""
    return (videos.float() / 2 + 0.5).clamp(0, 1).transpose(1, 2)


#: Kind of output -> what makes it of decoded videos (B, 3, F, H, W) in [-1, 1]. The first three are
#: those of diffusers' video pipelines.
OUTPUTS: dict[str, Callable[[Tensor], Any]] = {
    "pil": lambda videos: [[Image.fromarray(f) for f in to_frames(video)] for video in videos],
    "np": lambda videos: unit_range(videos).permute(0, 1, 3, 4, 2).cpu().numpy(),
    "pt": unit_range,
    "uint8": lambda videos: np.stack([to_frames(video) for video in videos]),
    "latent": lambda latents: latents,
}


def paired(
    image: Picture | Sequence[Picture], prompt: str | Sequence[str], negative: str | Sequence[str]
) -> tuple[list[Picture], list[str], list[str]]:
    """One image (shared by all) or B of them, B prompts and B negative ones."""
    single = isinstance(image, str | Path | Image.Image) or getattr(image, "ndim", 4) < 4
    images: list[Picture] = [image] if single else list(image)  # type: ignore[arg-type, list-item]
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    negatives = [negative] if isinstance(negative, str) else list(negative)
    batch = max(len(images), len(prompts), 1)
    for name, things in (("image", images), ("prompt", prompts), ("negative_prompt", negatives)):
        if len(things) not in (1, batch):
            raise ValueError(f"{name} should be one or {batch}, got {len(things)}")
    for text in (*prompts, *negatives):
        if not isinstance(text, str):
            raise ValueError(f"prompts should be strings, got {type(text).__name__}")
    return images, prompts * (batch // len(prompts)), negatives * (batch // len(negatives))


def image_latents(vae: AutoencoderKL, images: Tensor, batch: int, branches: int) -> Tensor:
    """Latents `(G B, C, h, w)` of B images, or of one for all of them; each branch has them.

    They are the posterior's mean, as in training.
    """
    latent = encode(vae, images[:, :, None], frames_per_chunk=8)[:, :, 0]
    return latent.expand(batch, -1, -1, -1).repeat(branches, 1, 1, 1)


def one_a_video(name: str, given: Any, batch: int) -> list[Any]:
    """Repeat one thing for all of a batch, or check that a list or tuple holds one a video."""
    things = list(given) if isinstance(given, list | tuple) else [given] * batch
    if len(things) != batch:
        raise ValueError(f"{name} should be one or {batch}, got {len(things)}")
    return things


def motion_priors(
    score: float | Sequence[float] | None, mask: Picture | Sequence[Picture] | None,
    size: tuple[int, int], factor: int, batch: int, branches: int, device: torch.device,
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """A score for each of G B samples, (G B,), and how much of each latent a mask lets move.

    The latter is (G B, 1, h, w) in [0, 1]: the brightness of the mask, which is scaled and
    cropped to `size` as the image is; white moves, black stays. Each branch has those of all B.
    """
    scores, areas = None, None
    if score is not None:
        scores = torch.tensor(one_a_video("motion", score, batch), dtype=torch.float32)
        scores = scores.repeat(branches).to(device)
    if mask is not None:
        masks = one_a_video("motion_mask", mask, batch)
        pixels = torch.stack([picture_tensor(picture, *size) for picture in masks])
        brightness = pixels.to(device).mean(1, keepdim=True) / 2 + 0.5
        areas = avg_pool2d(brightness, factor).clamp(0, 1).repeat(branches, 1, 1, 1)
    return scores, areas


def check_priors(config: UNetConfig, motion: Any, mask: Any) -> None:
    """ValueError for motion priors that the network does not know, or a score out of range."""
    for name, value, known in (("motion", motion, config.motion_score),
                               ("motion_mask", mask, config.motion_mask)):
        if value is not None and not known:
            raise ValueError(f"{name} should not be given: the model was trained without it")
    for score in [] if motion is None else np.ravel(motion):
        if not 0 <= score <= 1:
            raise ValueError(f"motion should be in [0, 1], got {score:g}")


def check_image_encoder(config: UNetConfig | None, encoder: Any) -> None:
    """ValueError for a network that takes image tokens without an encoder that makes them."""
    if config is not None and config.takes_encoded_tokens and encoder is None:
        raise ValueError(
            "image_condition should be 'none' or 'concat', as the folder has no image encoder, "
            f"got {config.image_condition!r}"
        )


def check_clip(
    size: tuple[int, int], divisor: int, frames: int, fps: float, chunk: int, output_type: str
) -> None:
    """ValueError for a video that cannot be made."""
    if min(size) < 1 or any(side % divisor for side in size):
        raise ValueError(
            f"height and width should be multiples of {divisor}, got {size[0]}x{size[1]}"
        )
    for name, number in (("num_frames", frames), ("decode_chunk_size", chunk)):
        if number < 1:
            raise ValueError(f"{name} should be at least 1, got {number}")
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps should be positive and finite, got {fps}")
    if output_type not in OUTPUTS:
        raise ValueError(f"output_type should be one of {list(OUTPUTS)}, got {output_type!r}")


def check_sampling(steps: int, scale: float, rescale: float, eta: float) -> None:
    """ValueError for settings of the sampler that are out of range."""
    if steps < 1:
        raise ValueError(f"num_inference_steps should be at least 1, got {steps}")
    if not math.isfinite(scale):
        raise ValueError(f"guidance_scale should be finite, got {scale}")
    for name, value in (("guidance_rescale", rescale), ("eta", eta)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} should be in [0, 1], got {value}")
