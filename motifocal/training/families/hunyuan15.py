"""HunyuanVideo 1.5 I2V: the image as additional channels and as SigLIP's features.

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from motifocal.training.families.base import Batch, Config, Draw, dtype_of, first_picture
from motifocal.training.families.flow import ShiftedLogitNormal
from motifocal.training.families.hunyuan import ATTENTION, with_picture_channels

SHIFT = 3.0


class HunyuanVideo15(ShiftedLogitNormal):
    """HunyuanVideo 1.5, image to video.

    As Tencent's train.py: logit-normal noise levels with a shift of 3, one mean over all latents.
    (That script trains text to video in 7 of 10 steps; here the picture is always given.)
    """

    name = "hunyuanvideo-1.5-i2v"
    grid = "hunyuan-1.5"
    pipeline = "HunyuanVideo15ImageToVideoPipeline"
    size_multiple = 16
    fps = 24.0
    shift = SHIFT
    text_parts = ("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2")
    clip_parts = ("vae", "image_encoder", "feature_extractor")
    tiled = True
    lora_targets = ATTENTION
    some_unused = True  # what the last block makes of the text is thrown away

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        # Models distilled to few steps ("meanflow") are told a second time in every call.
        return (index.get("_class_name") == cls.pipeline
                and not configs["transformer"].get("use_meanflow"))

    def encode_text(self, pipe: Any, prompts: Sequence[str]) -> list[dict[str, Tensor]]:
        names = ("text", "text_mask", "glyphs", "glyph_mask")
        encoded = [pipe.encode_prompt(prompt) for prompt in prompts]
        return [{name: value[0] for name, value in zip(names, values, strict=True)}
                for values in encoded]

    def encode_clip(
        self, pipe: Any, video: Tensor, fps: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        vae = pipe.vae
        first = video[:, :, :1]
        latents = vae.encode(video.to(vae.device, vae.dtype)).latent_dist.sample(generator)
        picture = vae.encode(first.to(vae.device, vae.dtype)).latent_dist.mode()
        features = pipe._get_image_embeds(
            image_encoder=pipe.image_encoder, feature_extractor=pipe.feature_extractor,
            image=first_picture(video), device=vae.device,
        )  # fmt: skip
        scale = vae.config.scaling_factor
        return {"latents": latents[0].float() * scale, "picture": picture[0].float() * scale,
                "features": features[0]}  # fmt: skip

    def forward(self, model: Any, draw: Draw, batch: Batch) -> Tensor:
        dtype = dtype_of(model)
        text, mask, glyphs, glyph_mask, features = (
            batch[name].to(dtype)
            for name in ("text", "text_mask", "glyphs", "glyph_mask", "features")
        )
        prediction = model(
            hidden_states=with_picture_channels(draw.noisy, batch["picture"]).to(dtype),
            image_embeds=features,
            timestep=(1000 * draw.time).to(dtype),
            timestep_r=None,
            encoder_hidden_states=text, encoder_attention_mask=mask,
            encoder_hidden_states_2=glyphs, encoder_attention_mask_2=glyph_mask,
            return_dict=False,
        )[0]  # fmt: skip
        return prediction.float()
