"""Wan 2.1 I2V, Wan 2.2 A14B and TI2V-5B, SkyReels-V2 I2V.

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents, L tokens.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, ClassVar

import torch
from torch import Tensor

from motifocal.models.folder_files import flow_shift, skyreels_v2_shift
from motifocal.training.families.base import (
    Batch,
    Config,
    Draw,
    Family,
    dtype_of,
    first_picture,
)
from motifocal.training.families.flow import FlowMatching, shifted, unshifted

MOST_TOKENS = 512  # of the prompt, as the pipelines' calls take by default
TRAIN_STEPS = 1000  # times that the transformer is given: sigma 1 is 1000


class _Wan(FlowMatching):
    """What the models share: text encoder, autoencoder, density of sigma, transformer.

    Sigma is uniform and then shifted as in the model's schedule: DiffSynth-Studio draws uniformly
    from a schedule with a shift (5 for all), musubi-tuner has `--timestep_sampling shift`.
    """

    _given_shift: float | None = None

    pipeline = "WanImageToVideoPipeline"
    size_multiple = 16
    fps = 16.0
    prompt_arguments: ClassVar[Mapping[str, str]] = {"text": "prompt_embeds"}
    original_names = (
        ("attn1", "self_attn"), ("attn2", "cross_attn"), ("to_q", "q"), ("to_k", "k"),
        ("to_v", "v"), ("to_out.0", "o"), ("add_k_proj", "k_img"), ("add_v_proj", "v_img"),
        ("ffn.net.0.proj", "ffn.0"), ("ffn.net.2", "ffn.2"), ("proj_out", "head.head"),
        ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
        ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
        ("condition_embedder.time_proj", "time_projection.1"),
        ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
        ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
        ("condition_embedder.image_embedder.ff.net.0.proj", "img_emb.proj.1"),
        ("condition_embedder.image_embedder.ff.net.2", "img_emb.proj.3"),
    )  # fmt: skip

    @property
    def shift(self) -> float:
        """How far the schedule moves uniform times towards noise."""
        if self._given_shift is not None:
            return self._given_shift
        return flow_shift(self.configs.get("scheduler", {}))

    def with_flow_shift(self, shift: float) -> Family:
        family = copy(self)
        family._given_shift = shift
        return family

    @property
    def sampling_shift(self) -> float:
        return self.shift

    def encode_text(self, pipe: Any, prompts: Sequence[str]) -> list[dict[str, Tensor]]:
        """Return "text" (L, D) of each prompt."""
        return [{"text": pipe.encode_prompt(prompt, do_classifier_free_guidance=False,
                                            max_sequence_length=MOST_TOKENS)[0][0]}
                for prompt in prompts]  # fmt: skip

    def draw_sigma(self, generator: torch.Generator, latents: Tensor, part: str) -> Tensor:
        return shifted(torch.rand((), generator=generator), self.shift)

    def forward(self, model: Any, draw: Draw, batch: Batch) -> Tensor:
        dtype = dtype_of(model)
        image = batch.get("image")
        prediction = model(
            hidden_states=self._input(draw, batch).to(dtype),
            timestep=self._timestep(draw, batch),
            encoder_hidden_states=batch["text"].to(dtype),
            encoder_hidden_states_image=None if image is None else image.to(dtype),
            return_dict=False,
        )[0]
        return torch.as_tensor(prediction.float())

    @abstractmethod
    def _input(self, draw: Draw, batch: Batch) -> Tensor:
        """Return what the transformer gets as latents, (B, C, F', h, w)."""

    def _timestep(self, draw: Draw, batch: Batch) -> Tensor:
        """Return the time (B,) or one a token (B, L)."""
        return TRAIN_STEPS * draw.time


class WanTI2V(_Wan):
    """Wan 2.2 TI2V-5B: the first latent enters clean, and its tokens are at time 0."""

    name, grid, size_multiple, fps = "wan-ti2v", "wan-5b", 32, 24.0

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        named = index.get("_class_name") in ("WanImageToVideoPipeline", "WanPipeline")
        return named and bool(index.get("expand_timesteps"))

    def encode_clip(
        self, pipe: Any, video: Tensor, fps: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return "latents", whose first is that of the first frame alone, as when sampling."""
        latents = encode(pipe.vae, video)
        latents[:, :, :1] = encode(pipe.vae, video[:, :, :1])
        return {"latents": latents[0]}

    def _input(self, draw: Draw, batch: Batch) -> Tensor:
        return draw.noisy

    def _timestep(self, draw: Draw, batch: Batch) -> Tensor:
        # A token is two by two latents.
        return TRAIN_STEPS * self.times(draw, batch["latents"])[:, 0, :, ::2, ::2].flatten(1)


class _PictureInChannels(_Wan):
    """The picture comes as 4 channels of mask and 16 of latents beside the noisy ones."""

    grid = "wan"

    def encode_clip(
        self, pipe: Any, video: Tensor, fps: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return "latents", "condition" (20, F', h, w), and "image" (L, D) of an image encoder."""
        latents = encode(pipe.vae, video)
        first = torch.zeros_like(video)
        first[:, :, 0] = video[:, :, 0]
        mask = latents.new_zeros(1, self.geometry.temporal_stride, *latents.shape[2:])
        mask[:, :, 0] = 1
        condition = torch.cat([mask, encode(pipe.vae, first)], dim=1)
        encoded = {"latents": latents[0], "condition": condition[0]}
        if getattr(pipe, "image_encoder", None) is not None:
            encoded["image"] = pipe.encode_image(first_picture(video))[0]
        return encoded

    def _input(self, draw: Draw, batch: Batch) -> Tensor:
        return torch.cat([draw.noisy, batch["condition"]], dim=1)


class _WithImageEncoder(_PictureInChannels):
    """The transformer attends to a CLIP encoder's tokens of the picture, too.

    Their keys and values get a LoRA: diffusers' loader expects them in one for such a model.
    """

    clip_parts = ("vae", "image_encoder", "image_processor")
    float32_parts = ("vae", "image_encoder")
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0", "add_k_proj", "add_v_proj")


class Wan21(_WithImageEncoder):
    """Wan 2.1 I2V."""

    name = "wan-2.1"

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        image_to_video = index.get("_class_name") == "WanImageToVideoPipeline"
        single = not index.get("expand_timesteps") and index.get("boundary_ratio") is None
        # Those for a first and a last frame (FLF2V) have positions for two pictures' tokens.
        one_picture = configs.get("transformer", {}).get("pos_embed_seq_len") is None
        return image_to_video and single and one_picture and "image_encoder" in configs


class WanA14B(_PictureInChannels):
    """Wan 2.2 I2V-A14B: `transformer` denoises above the boundary, `transformer_2` below it.

    Each is trained by itself, with sigma on its own side, as DiffSynth-Studio trains them.
    """

    name = "wan-a14b"
    trained = ("transformer", "transformer_2")

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        image_to_video = index.get("_class_name") == "WanImageToVideoPipeline"
        return image_to_video and index.get("boundary_ratio") is not None

    def draw_sigma(self, generator: torch.Generator, latents: Tensor, part: str) -> Tensor:
        boundary = unshifted(float(self.index["boundary_ratio"]), self.shift)
        low, high = (boundary, 1.0) if part == "transformer" else (0.0, boundary)
        uniform = torch.rand((), generator=generator)
        return shifted(low + (high - low) * uniform, self.shift)


class SkyReelsV2(_WithImageEncoder):
    """SkyReels-V2 I2V: Wan 2.1's inputs for a transformer of another class, at 24 frames/s."""

    name = "skyreels-v2"
    pipeline, fps = "SkyReelsV2ImageToVideoPipeline", 24.0

    def __init__(self, index: Config, configs: Mapping[str, Config]) -> None:
        scheduler = configs.get("scheduler", {})
        shift = skyreels_v2_shift(scheduler)
        if shift != flow_shift(scheduler):
            # In the configuration, so that a run begun with the folder's shift is known as another.
            configs = {**configs, "scheduler": {**scheduler, "flow_shift": shift}}
        super().__init__(index, configs)

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        return index.get("_class_name") == "SkyReelsV2ImageToVideoPipeline"


def encode(vae: Any, video: Tensor) -> Tensor:
    """Video (B, 3, F, H, W) in [-1, 1] -> latents (B, C, F', h, w) of mean 0 and deviation 1."""
    latents = vae.encode(video.to(vae.dtype)).latent_dist.mode().float()
    mean, inverse = (values.view(1, -1, 1, 1, 1).to(latents) for values in (
        torch.tensor(vae.config.latents_mean), 1.0 / torch.tensor(vae.config.latents_std)))
    return torch.as_tensor((latents - mean) * inverse)
