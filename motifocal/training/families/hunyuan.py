"""HunyuanVideo-I2V: the image in place of the first latent, or as additional channels.

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from motifocal.loss.latent_grid import FAMILIES, LatentGeometry
from motifocal.training.families.base import Batch, Config, Draw, dtype_of
from motifocal.training.families.flow import ShiftedLogitNormal

SHIFT = 7.0
#: Guidance is distilled into the checkpoint: it is trained and sampled at this scale.
GUIDANCE = 6.0
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj",
             "to_add_out")  # fmt: skip


class HunyuanVideo(ShiftedLogitNormal):
    """HunyuanVideo-I2V as published now ("token_replace"): the first latent is the picture's.

    As Tencent's train_image2video_lora.py: logit-normal noise levels with a shift of 7, and the
    first latent is cut off before the mean. Its text encoder sees the picture beside the prompt.
    """

    name = "hunyuanvideo-i2v"
    grid = "hunyuan"
    pipeline = "HunyuanVideoImageToVideoPipeline"
    size_multiple = 16
    fps = 24.0
    shift = SHIFT
    text_parts = ("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2", "image_processor")
    text_sees_image = True
    tiled = True
    lora_targets = ATTENTION
    condition = "token_replace"
    interleave = 4  # one of so many tokens of the picture is kept

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        return (index.get("_class_name") == cls.pipeline
                and configs["transformer"].get("image_condition_type") == cls.condition)

    def encode_text(
        self, pipe: Any, prompts: Sequence[str], images: Sequence[Any] = ()
    ) -> list[dict[str, Tensor]]:
        texts = []
        for prompt, image in zip(prompts, images, strict=True):
            text, pooled, mask = pipe.encode_prompt(
                image=image, prompt=prompt, image_embed_interleave=self.interleave
            )
            texts.append({"text": text[0], "text_mask": mask[0], "pooled": pooled[0]})
        return texts

    def encode_clip(
        self, pipe: Any, video: Tensor, fps: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        latents, picture = (
            pipe.vae.encode(clip.to(pipe.vae.device, pipe.vae.dtype)).latent_dist.mode()[0].float()
            * pipe.vae.config.scaling_factor for clip in (video, video[:, :, :1])
        )
        return self._with_picture(latents, picture)

    def _with_picture(self, latents: Tensor, picture: Tensor) -> dict[str, Tensor]:
        return {"latents": torch.cat([picture, latents[:, 1:]], 1)}

    def forward(self, model: Any, draw: Draw, batch: Batch) -> Tensor:
        dtype = dtype_of(model)
        distilled = self.configs["transformer"].get("guidance_embeds")
        scale = torch.full_like(draw.time, GUIDANCE, dtype=dtype) * 1000.0
        prediction = model(
            hidden_states=self._inputs(draw, batch).to(dtype),
            timestep=1000 * draw.time,
            encoder_hidden_states=batch["text"].to(dtype),
            encoder_attention_mask=batch["text_mask"].to(dtype),
            pooled_projections=batch["pooled"].to(dtype),
            guidance=scale if distilled else None,
            return_dict=False,
        )[0]  # fmt: skip
        return prediction.float()

    def _inputs(self, draw: Draw, batch: Batch) -> Tensor:
        return draw.noisy


class HunyuanVideoConcat(HunyuanVideo):
    """Its first release ("latent_concat"): the picture as channels, and every latent is noisy.

    What is sampled from it begins with four frames that its pipeline throws away; clips are trained
    on as they are, as Tencent's script does.
    """

    name = "hunyuanvideo-i2v-concat"
    condition = "latent_concat"
    interleave = 2

    @cached_property
    def geometry(self) -> LatentGeometry:
        return replace(FAMILIES[self.grid], conditioned_first=False)

    def _with_picture(self, latents: Tensor, picture: Tensor) -> dict[str, Tensor]:
        return {"latents": latents, "picture": picture}

    def _inputs(self, draw: Draw, batch: Batch) -> Tensor:
        return with_picture_channels(draw.noisy, batch["picture"])


def with_picture_channels(noisy: Tensor, picture: Tensor) -> Tensor:
    """(B, C, F', h, w) and (B, C, 1, h, w) -> (B, 2 C + 1, F', h, w).

    The further channels are the picture's latent and 1 in the first latent, and 0 in the others.
    """
    further = torch.zeros_like(noisy[:, :1]).repeat(1, noisy.shape[1] + 1, 1, 1, 1)
    further[:, :-1, :1], further[:, -1, 0] = picture, 1.0
    return torch.cat([noisy, further], 1)
