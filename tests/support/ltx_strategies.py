"""What stands in for the strategies of the LTX-2 trainer, which is on no package registry.

Written from the facts of its interface: how strategies are asked, and which tokens they count.
docs/bridges.md names the versions that were read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

F, H, W, C = 3, 2, 4, 8  # latent frames, height and width, channels


@dataclass
class ModelInputs:
    """What prepare_training_inputs returns, as far as the loss needs it."""

    video_targets: Tensor | None
    audio_targets: Tensor | None
    video_loss_mask: Tensor | None
    noisy: Tensor


class Flexible:
    """The newer strategy: references in front of the tokens, one loss a sample."""

    references = 0
    conditioned = H * W  # tokens of the first latent, which enter clean

    def __init__(self, config: Any = None) -> None:
        self.config = config
        self.shared = torch.nn.Linear(1, 1)

    def prepare_training_inputs(self, batch: dict[str, Any], timestep_sampler: Any) -> ModelInputs:
        latents = tokens(batch["video_latents"]["latents"])
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
        mask = torch.ones(latents.shape[:2], dtype=torch.bool)
        mask[:, : self.conditioned] = False
        mask = torch.cat([torch.zeros(len(mask), self.references, dtype=torch.bool), mask], 1)
        noisy = torch.cat([torch.ones(len(mask), self.references, C), (latents + noise) / 2], 1)
        audio = torch.ones(len(mask), 5, 2) if "audio" in batch else None
        return ModelInputs(noise - latents, audio, mask, noisy)

    def compute_loss(
        self, video_pred: Tensor | None, audio_pred: Tensor | None, inputs: ModelInputs
    ) -> Tensor:
        loss: Tensor | float = 0.0
        if video_pred is not None and inputs.video_targets is not None:
            assert inputs.video_loss_mask is not None
            length = inputs.video_targets.shape[1]
            mask = inputs.video_loss_mask[:, -length:, None].float()
            error = (video_pred[:, -length:] - inputs.video_targets).pow(2) * mask
            loss = error.mean(dim=[-2, -1]) / mask.mean(dim=[-2, -1]).clamp(min=1e-8)
        if audio_pred is not None and inputs.audio_targets is not None:
            loss = loss + (audio_pred - inputs.audio_targets).pow(2).mean(dim=[-2, -1])
        assert isinstance(loss, Tensor)
        return loss

    def get_checkpoint_metadata(self) -> dict[str, Any]:
        return {"theirs": 1}


class FlexibleWithReference(Flexible):
    references = 5


class TextToVideo(Flexible):
    """The older strategy: one number for the batch."""

    def compute_loss(
        self, video_pred: Tensor | None, audio_pred: Tensor | None, inputs: ModelInputs
    ) -> Tensor:
        assert video_pred is not None and inputs.video_loss_mask is not None  # noqa: PT018
        assert inputs.video_targets is not None
        mask = inputs.video_loss_mask[..., None].float()
        loss = (video_pred - inputs.video_targets).pow(2).mul(mask).div(mask.mean()).mean()
        if audio_pred is None or inputs.audio_targets is None:
            return loss
        return loss + (audio_pred - inputs.audio_targets).pow(2).mean()


def tokens(latents: Tensor) -> Tensor:
    """Time slowest, columns fastest: as VideoLatentPatchifier of ltx-core 1.0.0 has it."""
    return latents.flatten(2).transpose(1, 2)
