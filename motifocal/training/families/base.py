"""The interface of a family of image-to-video models for fine-tuning, without any loop.

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents.

A family is made from the JSON files of a model folder. It says what is cached once a clip and once
a caption, how noise is drawn, and how the transformer is called. The loss and the loop are outside:

    batch = {**clips, **texts}                            # what was cached, stacked to (B, ...)
    draw = family.draw(batch["latents"], generators)
    prediction = family.forward(transformer, draw, batch)
    motion_loss(prediction, draw.target, weights, family.geometry, motif_weight,
                timestep_weight=family.plain_loss_weight(draw))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor

from motifocal.loss.latent_grid import FAMILIES, LatentGeometry, valid_mask
from motifocal.media.video import to_frames
from motifocal.models.folder_files import named_distilled

Batch = Mapping[str, Tensor]
Config = Mapping[str, Any]


@dataclass(frozen=True)
class Draw:
    """The random part of a step. Latents are in the model's own layout, `geometry.layout`.

    noisy: latents as the transformer gets them, float32; those that are given are clean.
    time: (B,), sigma in [0, 1] of flow matching, whole timesteps of a discrete schedule.
    target: what the prediction is compared with, of `noisy`'s shape.
    noise: of the same shape.
    """

    noisy: Tensor
    time: Tensor
    target: Tensor
    noise: Tensor


class Family(ABC):
    """One family; see the file's head. `index` is model_index.json, `configs` the parts' JSON.

    `configs` has config.json of every part that has one and scheduler_config.json, by part.
    """

    #: For messages and model cards, e.g. "wan-ti2v".
    name: ClassVar[str]
    #: A key of `loss.latent_grid.FAMILIES`.
    grid: ClassVar[str]
    #: Class of diffusers whose parts are loaded, and whose `load_lora_weights` takes the result.
    pipeline: ClassVar[str]
    #: What height and width have to be multiples of, in pixels.
    size_multiple: ClassVar[int]
    #: Rate that the model was trained at; clips are resampled to it.
    fps: ClassVar[float]
    #: Parts that are loaded for `encode_text` and for `encode_clip`, besides the scheduler.
    text_parts: ClassVar[tuple[str, ...]] = ("tokenizer", "text_encoder")
    clip_parts: ClassVar[tuple[str, ...]] = ("vae",)
    #: Whether `encode_text` also takes `images`, the clips' first frames (PIL, one a prompt): what
    #: is cached of a prompt is then cached once a clip.
    text_sees_image: ClassVar[bool] = False
    #: What `encode_text` returns -> the arguments of the pipeline's call that take it (and, behind
    #: "negative_", that of the empty prompt), so that videos are sampled without the text encoder.
    #: Empty where that cannot be.
    prompt_arguments: ClassVar[Mapping[str, str]] = {}
    #: Parts that compute in float32 whatever the rest does.
    float32_parts: ClassVar[tuple[str, ...]] = ("vae",)
    #: Whether the autoencoder encodes large clips in tiles, since whole ones take much memory.
    tiled: ClassVar[bool] = False
    #: Parts that can be trained, one after the other, each with a LoRA of its own.
    trained: ClassVar[tuple[str, ...]] = ("transformer",)
    #: Whether the transformer is told the clips' rate, one for all of a batch.
    one_rate: ClassVar[bool] = False
    #: How the names of modules end that get a LoRA.
    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")
    #: Whether some of those modules do not enter the prediction: their LoRA gets no gradient.
    some_unused: ClassVar[bool] = False
    #: diffusers' names of modules -> the original ones, replaced in this order, for a second LoRA
    #: file; empty where they are the same, None where it takes more than other names.
    original_names: ClassVar[tuple[tuple[str, str], ...] | None] = None

    def __init__(self, index: Config, configs: Mapping[str, Config]) -> None:
        self.index, self.configs = index, configs

    @classmethod
    @abstractmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        """Tell whether a model folder is of this family."""

    @cached_property
    def geometry(self) -> LatentGeometry:
        """The latent grid, whose `layout` is that of the draws and of the prediction."""
        return FAMILIES[self.grid]

    def check_clip(self, frames: int, height: int, width: int) -> None:
        """Raise ValueError for a length or a size that the model cannot be trained at."""
        self.geometry.latent_frames(frames)

    @property
    def unlisted(self) -> str | None:
        """A folder of weights to train that model_index.json may leave out, and so the hub too."""
        return None

    def weights_folder(self, part: str) -> str:
        """Return the folder of the weights that the training of a part begins with."""
        return part

    def is_distilled(self, folder: Path) -> bool:
        """Tell whether the network in a model folder seems to be distilled."""
        return named_distilled(folder)

    @abstractmethod
    def encode_text(self, pipe: Any, prompts: Sequence[str]) -> list[dict[str, Tensor]]:
        """Return what is cached of each prompt, without a batch dimension.

        `pipe` holds `text_parts` alone. Sizes do not depend on the prompt, so that samples can be
        stacked, and a prompt's tensors not on the other prompts.
        """

    @abstractmethod
    def encode_clip(
        self, pipe: Any, video: Tensor, fps: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return what is cached of a clip (1, 3, F, H, W) in [-1, 1], without a batch dimension.

        `pipe` holds `clip_parts` alone. "latents" (C, F', h, w) are float32, normalised as the
        transformer sees them, padding in front included; further tensors are the picture's
        condition. `generator` (on the CPU) depends on the clip alone. "fps" is added by the caller.
        """

    @abstractmethod
    def draw(
        self, latents: Tensor, generators: Sequence[torch.Generator], part: str = "transformer"
    ) -> Draw:
        """Draw noise and times as the model's own trainer does, for latents (B, C, F', h, w).

        Sample i depends on `latents[i]` and `generators[i]` (on the CPU) alone. `part` is the one
        of `trained` that is trained; experts differ in the times that they see.
        """

    @abstractmethod
    def forward(self, model: Any, draw: Draw, batch: Batch) -> Tensor:
        """Return the prediction, float32, compared with `draw.target`; of the same layout.

        `batch` is what was cached, stacked: with "fps" (B,). `model` is called with exactly the
        tensors that diffusers' pipeline would hand it, in its own dtype.
        """

    @property
    def sampling_shift(self) -> float | None:
        """The flow shift that videos are sampled with; None for that of the folder's scheduler."""
        return None

    def with_flow_shift(self, shift: float) -> Family:
        """Return the family with another shift of its noise levels, in training and sampling.

        Raises ValueError where they are not those of the scheduler's schedule.
        """
        raise ValueError(f"flow_shift should be left out for {self.name}, which has noise levels "
                         f"of its own, got {shift:g}")  # fmt: skip

    def plain_loss_weight(self, draw: Draw) -> Tensor | None:
        """Return the published trainer's weight of each sample's loss, (B,); None for 1."""
        return None

    def given(self, latents: Tensor) -> Tensor:
        """Return bool (1, 1, F', 1, 1), True at latents that enter clean and are no part of the
        loss, for latents (B, C, F', h, w)."""
        frames = self.geometry.frames_of(latents.shape[2])
        return ~valid_mask(self.geometry, frames, latents.device)

    def in_layout(self, latents: Tensor) -> Tensor:
        """(B, C, F', h, w) in the model's own layout."""
        return rearrange(latents, f"b c f h w -> {self.geometry.layout}")


def noise_like(values: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal noise of the shape (B, ...), a generator a sample, drawn on the CPU."""
    noise = [torch.randn(values.shape[1:], generator=generator) for generator in generators]
    return torch.stack(noise).to(values.device)


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """(B,) -> (B, 1, ..., 1) with as many dimensions as `like`."""
    return values.view(-1, *(1,) * (like.ndim - 1)).to(like.device)


def first_picture(video: Tensor) -> Any:
    """Return the first frame of a video (1, 3, F, H, W) in [-1, 1] as PIL's image."""
    from PIL import Image

    return Image.fromarray(to_frames(video[0, :, :1])[0])


def dtype_of(model: Any) -> torch.dtype:
    """Return what a transformer computes in, wrapped for several processes or not."""
    dtype: torch.dtype = getattr(model, "module", model).dtype
    return dtype
