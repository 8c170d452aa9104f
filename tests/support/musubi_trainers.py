"""What stands in for musubi-tuner, which is on no package registry: its trainers and their call.

Written from the facts of its interface: how a trainer is called, and which seams newer versions
have. docs/bridges.md names the versions that were read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from motifocal.bridges.musubi_cache import BATCH_KEY


@dataclass
class DiTOutput:
    """What a newer trainer's model call returns."""

    pred: Tensor
    target: Tensor
    extra: dict[str, Any] = field(default_factory=dict)


class Model(torch.nn.Module):
    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.mix = torch.nn.Conv3d(4, 4, 1)
        torch.nn.init.normal_(self.mix.weight, generator=torch.Generator().manual_seed(1))
        self.to(dtype)

    def forward(self, latents: Tensor) -> Tensor:
        return self.mix(latents.to(self.mix.weight.dtype))


def timestep_weights(args: Any, timesteps: Tensor) -> Tensor | None:
    """(B, 1, 1, 1, 1), or None where the weighting scheme is "none"."""
    if args.weighting_scheme == "none":
        return None
    return (timesteps / 1000).pow(-2)[:, None, None, None, None]


class OldTrainer:
    """Squares the difference in the loop itself; its model call returns two tensors."""

    def call_dit(
        self, args: Any, accelerator: Any, transformer: Any, latents: Tensor,
        batch: dict[str, Any], noise: Tensor, noisy_model_input: Tensor, timesteps: Tensor,
        network_dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        return transformer(noisy_model_input), noise - latents

    def step(self, args: Any, transformer: Any, batch: dict[str, Any]) -> Tensor:
        latents, noise, noisy, timesteps = drawn(batch)
        weighting = timestep_weights(args, timesteps)
        prediction, target = self.call_dit(
            args, None, transformer, latents, batch, noise, noisy, timesteps, torch.float32
        )
        loss = torch.nn.functional.mse_loss(
            prediction.to(torch.float32), target, reduction="none"
        )
        return (loss if weighting is None else loss * weighting).mean()


class NewTrainer:
    """Has the seams that newer versions have: process_batch and compute_loss."""

    def call_dit(
        self, args: Any, accelerator: Any, transformer: Any, latents: Tensor,
        batch: dict[str, Any], noise: Tensor, noisy_model_input: Tensor, timesteps: Tensor,
        network_dtype: torch.dtype, **kwargs: Any,
    ) -> DiTOutput:  # fmt: skip
        return DiTOutput(transformer(noisy_model_input), noise - latents, {"kept": 1})

    def compute_loss(
        self, args: Any, output: DiTOutput, timesteps: Tensor, noise_scheduler: Any,
        dit_dtype: torch.dtype, network_dtype: torch.dtype, global_step: int,
    ) -> tuple[Tensor, dict[str, float]]:  # fmt: skip
        weighting = timestep_weights(args, timesteps)
        loss = torch.nn.functional.mse_loss(
            output.pred.to(network_dtype), output.target, reduction="none"
        )
        return (loss if weighting is None else loss * weighting).mean(), {"theirs": 1.0}

    def extra_metadata(self, args: Any) -> dict[str, Any]:
        return {"ss_theirs": "kept"}

    def step(self, args: Any, transformer: Any, batch: dict[str, Any]) -> Tensor:
        latents, noise, noisy, timesteps = drawn(batch)
        output = self.call_dit(
            args, None, transformer, latents, batch, noise, noisy, timesteps, torch.float32
        )
        loss, self.metrics = self.compute_loss(
            args, output, timesteps, None, torch.bfloat16, torch.float32, 0
        )
        return loss


def drawn(batch: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    latents = batch["latents"]
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(latents.shape, generator=generator)
    timesteps = torch.rand(len(latents), generator=generator) * 800 + 100
    t = (timesteps / 1000)[:, None, None, None, None]
    return latents, noise, (1 - t) * latents + t * noise, timesteps


def made_batch(frames: int = 3) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(7)
    latents = torch.randn(2, 4, frames, 6, 8, generator=generator)
    heat = torch.rand(2, frames, 6, 8, generator=generator).half()
    return {"latents": latents, BATCH_KEY: heat, "timesteps": None}


def arguments(scheme: str = "sigma_sqrt") -> Any:
    return SimpleNamespace(weighting_scheme=scheme)
