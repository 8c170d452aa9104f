"""CogVideoX-5B-I2V and CogVideoX1.5-5B-I2V: v-prediction at discrete timesteps.

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from motifocal.training.families.base import (
    Batch,
    Config,
    Draw,
    Family,
    dtype_of,
    noise_like,
)

#: The picture is trained with noise of a log-normal deviation on its pixels in [-1, 1], and is left
#: out in one step of twenty (diffusers' script: --noised_image_dropout).
IMAGE_NOISE_MEAN, IMAGE_NOISE_DEVIATION = -3.0, 0.5
IMAGE_DROPOUT = 0.05
#: How many noisy pictures are cached of a clip; a step takes one. The scripts draw and encode a new
#: one in every step, for which the autoencoder would have to stand beside the transformer.
NOISY_PICTURES = 8
CLEAN, NO_PICTURE = 0, -1


@dataclass(frozen=True)
class PictureDraw(Draw):
    """picture: (B,), which of a clip's pictures enters: CLEAN, 1 to NOISY_PICTURES, NO_PICTURE."""

    picture: Tensor


class CogVideoX(Family):
    """CogVideoX-5B-I2V.

    As diffusers' train_cogvideox_image_to_video_lora.py: all timesteps equally often, and the error
    of the clean latents weighted by 1 / (1 - alpha), which is the error of v.
    """

    name = "cogvideox-i2v"
    grid = "cogvideox"
    pipeline = "CogVideoXImageToVideoPipeline"
    size_multiple = 16
    fps = 8.0

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        return (index.get("_class_name") == cls.pipeline
                and configs["transformer"].get("patch_size_t") is None)

    @cached_property
    def schedule(self) -> Any:
        import diffusers

        kind = getattr(diffusers, self.index["scheduler"][1])
        return kind.from_config(dict(self.configs["scheduler"]), trust_remote_code=False)

    def check_clip(self, frames: int, height: int, width: int) -> None:
        super().check_clip(frames, height, width)
        config, stride = self.configs["transformer"], self.geometry.spatial_stride
        if not config.get("use_learned_positional_embeddings"):
            return
        # At another length the transformer computes positions in place of those it learned.
        length = config["sample_frames"]
        size = stride * config["sample_height"], stride * config["sample_width"]
        if (frames, height, width) != (length, *size):
            raise ValueError(f"clips should be {length} frames of {size[0]}x{size[1]}, for which "
                             f"positions were learned, got {frames} frames of {height}x{width}")

    def encode_text(self, pipe: Any, prompts: Sequence[str]) -> list[dict[str, Tensor]]:
        encoded = [pipe.encode_prompt(prompt, do_classifier_free_guidance=False)
                   for prompt in prompts]
        return [{"text": text[0]} for text, _ in encoded]

    def encode_clip(
        self, pipe: Any, video: Tensor, fps: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        def encode(clip: Tensor) -> Tensor:
            encoded = pipe.vae.encode(clip.to(pipe.vae.device, pipe.vae.dtype))
            sample: Tensor = encoded.latent_dist.sample(generator)
            return sample[0].float()

        config = pipe.vae.config
        latents = encode(video) * config.scaling_factor
        copies = self.geometry.padding(video.shape[2])
        first, pictures = video[:, :, :1], [encode(video[:, :, :1])]
        for _ in range(NOISY_PICTURES):
            normal = torch.randn((), generator=generator)
            deviation = torch.exp(IMAGE_NOISE_MEAN + IMAGE_NOISE_DEVIATION * normal)
            noise = torch.randn(first.shape, generator=generator)
            pictures.append(encode(first + (deviation * noise).to(first)))
        scale = config.scaling_factor
        scale = 1 / scale if config.invert_scale_latents else scale
        return {"latents": torch.cat([latents[:, :1]] * copies + [latents], 1),
                "pictures": torch.cat(pictures, 1).transpose(0, 1) * scale}  # fmt: skip

    def draw(
        self, latents: Tensor, generators: Sequence[torch.Generator], part: str = "transformer"
    ) -> PictureDraw:
        steps = self.schedule.config.num_train_timesteps
        drawn = []
        for generator in generators:
            time = torch.randint(steps, (), generator=generator)
            picture = torch.randint(1, NOISY_PICTURES + 1, (), generator=generator)
            kept = torch.rand((), generator=generator) >= IMAGE_DROPOUT
            drawn.append(torch.stack([time, torch.where(kept, picture, NO_PICTURE)]))
        time, picture = torch.stack(drawn).to(latents.device).unbind(1)
        clean = self.in_layout(latents)
        noise = noise_like(clean, generators)
        return PictureDraw(self.schedule.add_noise(clean, noise, time), time, clean, noise, picture)

    def forward(self, model: Any, draw: Draw, batch: Batch) -> Tensor:
        assert isinstance(draw, PictureDraw)
        noisy, dtype = draw.noisy, dtype_of(model)
        chosen = batch["pictures"][torch.arange(len(noisy)), draw.picture.clamp(min=0)]
        chosen = torch.where((draw.picture == NO_PICTURE).view(-1, 1, 1, 1), 0.0, chosen)
        image = torch.zeros_like(noisy)
        image[:, 0] = chosen
        learned = self.configs["transformer"].get("ofs_embed_dim") is not None
        velocity = model(
            hidden_states=torch.cat([noisy, image], 2).to(dtype),
            encoder_hidden_states=batch["text"].to(dtype),
            timestep=draw.time,
            ofs=noisy.new_full((1,), 2.0, dtype=dtype) if learned else None,
            image_rotary_emb=self._rotary(noisy),
            return_dict=False,
        )[0]  # fmt: skip
        prediction: Tensor = self.schedule.get_velocity(velocity.float(), noisy, draw.time)
        return prediction

    def plain_loss_weight(self, draw: Draw) -> Tensor:
        cumulative: Tensor = self.schedule.alphas_cumprod.to(draw.time.device)
        return 1 / (1 - cumulative[draw.time])

    def _rotary(self, noisy: Tensor) -> Any:
        """Return the pipeline's own positions for latents (B, F', C, h, w)."""
        from diffusers import CogVideoXImageToVideoPipeline

        config = SimpleNamespace(**self.configs["transformer"])
        if not config.use_rotary_positional_embeddings:
            return None
        stride = self.geometry.spatial_stride
        pipe: Any = SimpleNamespace(
            vae_scale_factor_spatial=stride, transformer=SimpleNamespace(config=config)
        )
        _, count, _, height, width = noisy.shape
        return CogVideoXImageToVideoPipeline._prepare_rotary_positional_embeddings(
            pipe, stride * height, stride * width, count, noisy.device
        )


class CogVideoX15(CogVideoX):
    """CogVideoX1.5-5B-I2V: two latents a token, a copy of the first in front of an odd number."""

    name = "cogvideox1.5-i2v"
    grid = "cogvideox-1.5"
    fps = 16.0

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        return (index.get("_class_name") == cls.pipeline
                and configs["transformer"].get("patch_size_t") is not None)
