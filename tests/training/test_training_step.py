"""A training step hands the network what the paper says, and draws as the settings say."""

from __future__ import annotations

from typing import Any

import pytest
import tiny
import torch
from torch import Tensor, nn

from motifocal.data.shards import LatentBatch
from motifocal.models.schedule import noise_schedule
from motifocal.training.presets import PAPER, SCENES
from motifocal.training.step import StepNoise, draw_noise, training_step


class Recorder(nn.Module):
    """Predicts zeros, and keeps what it was given."""

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor,
                fps: Tensor, image_latent: Tensor) -> Tensor:
        self.given = {"sample": sample, "timestep": timestep, "text": encoder_hidden_states,
                      "fps": fps, "image_latent": image_latent}
        return torch.zeros_like(sample)


def step_with_recorder(dropped: Tensor) -> tuple[dict[str, Tensor], LatentBatch]:
    settings = tiny.tiny_settings()
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(len(dropped), 4, 3, 2, 2, generator=generator)
    batch = LatentBatch(latents, torch.rand(len(dropped), 1, 3, 2, 2), ["x"] * len(dropped),
                        torch.full((len(dropped),), 8.0))
    drawn = draw_noise(tuple(latents.shape), settings, generator)
    draws = StepNoise(drawn.noise, drawn.timesteps, dropped, drawn.untold)
    text, empty = torch.ones(len(dropped), 5, 8), torch.full((1, 5, 8), -1.0)
    recorder: Any = Recorder()
    schedule = noise_schedule("v_prediction", True)
    training_step(recorder, batch, text, empty, draws, schedule, settings)
    return recorder.given, batch


def test_a_dropped_text_is_replaced_by_the_empty_text() -> None:
    dropped = torch.tensor([True, False, True, False])
    given, _ = step_with_recorder(dropped)
    assert torch.equal(given["text"][:, 0, 0], torch.tensor([-1.0, 1.0, -1.0, 1.0]))


def test_the_picture_is_the_clean_latent_of_the_first_frame() -> None:
    given, batch = step_with_recorder(torch.zeros(4, dtype=torch.bool))
    assert torch.equal(given["image_latent"], batch.latents[:, :, 0])
    assert not torch.equal(given["sample"][:, :, 0], batch.latents[:, :, 0])


def test_texts_are_dropped_and_times_drawn_as_often_as_the_settings_say() -> None:
    draws = draw_noise((40_000, 1, 1, 1, 1), PAPER, torch.Generator().manual_seed(0))
    assert float(draws.dropped.float().mean()) == pytest.approx(0.1, abs=0.005)
    assert (int(draws.timesteps.min()), int(draws.timesteps.max())) == (0, 999)
    assert float(draws.timesteps.float().mean()) == pytest.approx(499.5, abs=5)
    noisier = draw_noise((40_000, 1, 1, 1, 1), SCENES, torch.Generator().manual_seed(0))
    assert float(noisier.timesteps.float().mean()) == pytest.approx(666, abs=5)


def test_priors_leave_the_draws_of_noise_times_and_texts_as_they_were() -> None:
    settings = tiny.tiny_settings()
    draws = draw_noise((6, 4, 3, 2, 2), settings, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(draws.noise, torch.randn(6, 4, 3, 2, 2, generator=generator))
    uniform = torch.rand(6, generator=generator)
    assert torch.equal(draws.timesteps, (1000 * uniform.sqrt()).long().clamp(max=999))
    assert torch.equal(draws.dropped, torch.rand(6, generator=generator) < 0.1)
    many = draw_noise((40_000, 1, 1, 1, 1), settings, generator).untold.float()
    assert many.mean(0).tolist() == pytest.approx([0.1, 0.1], abs=0.005)
    assert float((many[:, 0] * many[:, 1]).mean()) == pytest.approx(0.01, abs=0.002)
