"""Kandinsky 5 I2V: channels last, the image in place of the first latent.

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents, L text tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from motifocal.loss.latent_grid import FAMILIES, LatentGeometry
from motifocal.training.families.base import Batch, Config, Draw, dtype_of
from motifocal.training.families.flow import ShiftedLogitNormal

SHIFT = 5.0
LONGEST_TEXT = 512


class Kandinsky5(ShiftedLogitNormal):
    """Kandinsky 5 I2V.

    Noise as the trainer of its authors draws it: logit-normal levels with a shift of 5
    (`scheduler_scale`). The picture enters as the authors' and diffusers' samplers give it: in
    place of the first latent, marked by a channel of ones. That latent is then no part of the loss;
    the trainer has it noisy, the picture in further channels, and counts it.
    """

    name = "kandinsky-5-i2v"
    grid = "hunyuan"  # the same autoencoder
    pipeline = "Kandinsky5I2VPipeline"
    size_multiple = 16
    fps = 24.0
    shift = SHIFT
    text_parts = ("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2")
    tiled = True
    original_names = ()  # ComfyUI's model has the same ones (comfy/ldm/kandinsky5/model.py)
    lora_targets = (
        *(f"{kind}_attention.{name}" for kind in ("self", "cross")
          for name in ("to_query", "to_key", "to_value", "out_layer")),
        "feed_forward.in_layer", "feed_forward.out_layer",
    )  # fmt: skip

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        return index.get("_class_name") == cls.pipeline and not sparse(configs)

    @cached_property
    def geometry(self) -> LatentGeometry:
        return replace(FAMILIES[self.grid], layout="b f h w c")

    def encode_text(self, pipe: Any, prompts: Sequence[str]) -> list[dict[str, Tensor]]:
        """The network sees no mask: tokens are padded for the cache alone, see `forward`."""
        texts = []
        for prompt in prompts:
            text, pooled, _ = pipe.encode_prompt(prompt, max_sequence_length=LONGEST_TEXT)
            length = torch.tensor(text.shape[1])
            padded = F.pad(text[0], (0, 0, 0, LONGEST_TEXT - text.shape[1]))
            texts.append({"text": padded, "text_length": length, "pooled": pooled[0]})
        return texts

    def encode_clip(
        self, pipe: Any, video: Tensor, fps: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        vae = pipe.vae
        latents, picture = (
            vae.encode(clip.to(vae.device, vae.dtype)).latent_dist.sample(generator)[0].float()
            * vae.config.scaling_factor for clip in (video, video[:, :, :1])
        )
        return {"latents": torch.cat([picture, latents[:, 1:]], 1)}

    def forward(self, model: Any, draw: Draw, batch: Batch) -> Tensor:
        lengths = batch["text_length"].tolist()
        if len(set(lengths)) > 1:  # texts of several lengths cannot be stacked
            return torch.cat([self._call(model, draw, batch, slice(i, i + 1), length)
                              for i, length in enumerate(lengths)])
        return self._call(model, draw, batch, slice(None), lengths[0])

    def _call(self, model: Any, draw: Draw, batch: Batch, samples: slice, length: int) -> Tensor:
        from diffusers import Kandinsky5I2VPipeline as Pipeline

        noisy, device, dtype = draw.noisy[samples], draw.noisy.device, dtype_of(model)
        _, count, height, width, _ = noisy.shape
        config, stride = self.configs["transformer"], self.geometry.spatial_stride
        if config["visual_cond"]:
            marks = torch.zeros_like(noisy[..., :1])
            marks[:, 0] = 1
            noisy = torch.cat([noisy, torch.zeros_like(noisy), marks], -1)
        pipe: Any = SimpleNamespace(
            transformer=SimpleNamespace(config=SimpleNamespace(**config)),
            fast_sta_nabla=Pipeline.fast_sta_nabla,
        )
        prediction: Tensor = model(
            hidden_states=noisy.to(dtype),
            encoder_hidden_states=batch["text"][samples, :length].to(dtype),
            pooled_projections=batch["pooled"][samples].to(dtype),
            timestep=(1000 * draw.time[samples]).to(dtype),
            visual_rope_pos=[torch.arange(size, device=device)
                             for size in (count, height // 2, width // 2)],
            text_rope_pos=torch.arange(length, device=device),
            scale_factor=Pipeline._get_scale_factor(pipe, stride * height, stride * width),
            sparse_params=Pipeline.get_sparse_params(pipe, noisy, device),
            return_dict=True,
        ).sample  # fmt: skip
        return prediction.float()


class Kandinsky5Sparse(Kandinsky5):
    """Checkpoints with sparse attention ("nabla"), which is laid out in blocks of 8x8 tokens."""

    name = "kandinsky-5-i2v-sparse"
    size_multiple = 128

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        return index.get("_class_name") == cls.pipeline and sparse(configs)


def sparse(configs: Mapping[str, Config]) -> bool:
    return configs["transformer"].get("attention_type") == "nabla"
