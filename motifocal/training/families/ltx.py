"""LTX-Video: latents as tokens; those of the first frame are given clean, at time 0.

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents, N tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from motifocal.training.families.base import Batch, Config, Draw, dtype_of
from motifocal.training.families.flow import FlowMatching
from motifocal.training.families.noise_levels import stretched_logit_normal


class LTX(FlowMatching):
    """LTX-Video, image to video.

    Noise as `shifted_logit_normal` of Lightricks' trainer draws it today (ltx-trainer, in the
    repository of LTX-2; the trainer that was published with LTX-Video had no uniform part). As
    there, the tokens of the first frame are clean and masked out of the loss.
    """

    name = "ltx-video"
    grid = "ltx"
    pipeline = "LTXImageToVideoPipeline"
    size_multiple = 32
    fps = 25.0
    one_rate = True
    original_names: ClassVar[tuple[tuple[str, str], ...]] = (
        ("proj_in", "patchify_proj"), ("time_embed", "adaln_single"),
    )  # fmt: skip

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        return index.get("_class_name") in ("LTXPipeline", "LTXImageToVideoPipeline")

    def encode_text(self, pipe: Any, prompts: Sequence[str]) -> list[dict[str, Tensor]]:
        texts = []
        for prompt in prompts:
            text, mask, _, _ = pipe.encode_prompt(prompt, do_classifier_free_guidance=False)
            texts.append({"text": text[0], "text_mask": mask[0]})
        return texts

    def encode_clip(
        self, pipe: Any, video: Tensor, fps: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        vae = pipe.vae
        encoded = vae.encode(video.to(vae.device, vae.dtype)).latent_dist.sample(generator)
        latents = pipe._normalize_latents(encoded, vae.latents_mean, vae.latents_std)
        return {"latents": latents[0].float()}

    def draw_sigma(self, generator: torch.Generator, latents: Tensor, part: str) -> Tensor:
        return stretched_logit_normal(1, latents[0].numel(), generator)[0]

    def forward(self, model: Any, draw: Draw, batch: Batch) -> Tensor:
        dtype = dtype_of(model)
        prediction = model(
            hidden_states=draw.noisy.to(dtype),
            encoder_hidden_states=batch["text"].to(dtype),
            timestep=1000 * self.token_times(draw, batch["latents"]),
            encoder_attention_mask=batch["text_mask"],
            return_dict=False, **self._positions(batch),
        )[0]  # fmt: skip
        return torch.as_tensor(prediction.float())

    def _positions(self, batch: Batch) -> dict[str, Any]:
        """Return the arguments that say where the tokens lie."""
        count, height, width = batch["latents"].shape[2:]
        stride, later = self.geometry.spatial_stride, self.geometry.temporal_stride
        return {"num_frames": count, "height": height, "width": width,
                "rope_interpolation_scale": (later / one_rate(batch), stride, stride)}

    def token_times(self, draw: Draw, latents: Tensor) -> Tensor:
        """Return sigma of every token, (B, N)."""
        return self.in_layout(self.times(draw, latents))[..., 0]


class LTXCondition(LTX):
    """LTX-Video from 0.9.5 on, whose pipeline gives each token the time of its first frame.

    That pipeline adds a little noise to the picture's tokens while it samples
    (`image_cond_noise_scale`); the trainer does not.
    """

    name = "ltx-video-0.9.5"
    pipeline = "LTXConditionPipeline"

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        return index.get("_class_name") == cls.pipeline

    def _positions(self, batch: Batch) -> dict[str, Any]:
        from diffusers import LTXConditionPipeline as Pipeline

        latents = batch["latents"]
        samples, _, count, height, width = latents.shape
        where = Pipeline._prepare_video_ids(samples, count, height, width, device=latents.device)
        coords = Pipeline._scale_video_ids(
            where, self.geometry.spatial_stride, self.geometry.temporal_stride,
            device=latents.device,
        ).float()  # fmt: skip
        coords[:, 0] = coords[:, 0] * (1.0 / one_rate(batch))
        return {"video_coords": coords}


def one_rate(batch: Batch) -> float:
    """Return the rate of a batch's clips; ValueError where they differ.

    The network is told one rate a call.
    """
    rates = sorted({float(rate) for rate in batch["fps"]})
    if len(rates) > 1:
        raise ValueError(f"the clips of a batch should have one rate, got {rates} frames a second")
    return rates[0]
