"""Fine-tuning CogVideoX I2V: the transformer gets what diffusers' pipeline gives it, and so on."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from family_checks import (
    Case,
    draws_of_a_sample_are_its_own,
    generators,
    loss_of,
    no_gradient_where_given,
    no_sampling,
    same_call,
)
from family_lora import lora_round_trip
from scipy import stats
from tiny_diffusers import tiny_pipeline

from motifocal.media.video import to_tensor
from motifocal.training.families.cogvideox import (
    CLEAN,
    NO_PICTURE,
    NOISY_PICTURES,
    CogVideoX,
    CogVideoX15,
    PictureDraw,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", params=["1.0", "1.5"])
def case(request: pytest.FixtureRequest) -> Case:
    kind, pipe = {"1.0": (CogVideoX, "cogvideox"), "1.5": (CogVideoX15, "cogvideox15")}[
        request.param
    ]
    clean = partial(PictureDraw, picture=torch.tensor([CLEAN]))
    return Case(kind, tiny_pipeline(pipe), (32, 48), 9, fps=8.0, draw_of=clean)


@pytest.mark.parametrize("step", [0, 1])
def test_cogvideox_hands_over_what_the_pipeline_does(case: Case, step: int) -> None:
    same_call(case, step)


def test_lambda_0_is_the_loss_of_diffusers_script(case: Case) -> None:
    """train_cogvideox_image_to_video_lora.py: the clean latents, weighted by 1 / (1 - alpha)."""
    draw, prediction, loss = loss_of(case, 0.0)
    latents = case.two["latents"].transpose(1, 2)  # (B, F', C, h, w)
    scheduler = case.pipe.scheduler
    assert torch.equal(draw.noisy, scheduler.add_noise(latents, draw.noise, draw.time))
    weights = 1 / (1 - scheduler.alphas_cumprod[draw.time])
    for i in range(2):
        squared = (prediction[i] - latents[i]).pow(2)
        assert torch.equal(loss.total[i], squared.mean() * weights[i])
    weights = weights.view(-1, 1, 1, 1, 1)
    theirs = torch.mean((weights * (prediction - latents) ** 2).reshape(2, -1), dim=1)
    torch.testing.assert_close(loss.total, theirs, rtol=1e-6, atol=0)


def test_the_prediction_is_that_of_the_clean_latents(case: Case) -> None:
    """The velocity alpha^1/2 eps - (1 - alpha)^1/2 z is turned into z."""
    latents = case.batch["latents"]
    draw = case.drawn(latents)
    alpha = case.pipe.scheduler.alphas_cumprod[draw.time].view(-1, 1, 1, 1, 1)
    clean = case.family.in_layout(latents)
    velocity = alpha.sqrt() * draw.noise - (1 - alpha).sqrt() * clean

    class Perfect:
        dtype = torch.float32

        def __call__(self, **arguments: Any) -> tuple[torch.Tensor]:
            return (velocity,)

    torch.testing.assert_close(case.family.forward(Perfect(), draw, case.batch), clean)


def test_every_latent_of_cogvideox_is_learned(case: Case) -> None:
    assert not case.family.given(case.batch["latents"]).any()
    no_gradient_where_given(case)


def test_each_sample_is_drawn_as_it_is_alone(case: Case) -> None:
    draws_of_a_sample_are_its_own(case)


def test_times_are_uniform_and_one_picture_of_twenty_is_left_out(case: Case) -> None:
    latents = case.batch["latents"][:, :, :1, :1, :1].expand(4_000, -1, -1, -1, -1)
    generator = torch.Generator().manual_seed(0)
    draw = case.family.draw(latents, [generator] * len(latents))
    assert isinstance(draw, PictureDraw)
    counts = np.bincount(draw.time.numpy() // 10, minlength=100)
    assert len(counts) == 100
    assert stats.chisquare(counts).pvalue > 0.01
    left_out = int((draw.picture == NO_PICTURE).sum())
    assert stats.binomtest(left_out, len(latents), 0.05).pvalue > 0.01
    counts = np.bincount(draw.picture[draw.picture != NO_PICTURE].numpy())
    assert counts[CLEAN] == 0
    assert stats.chisquare(counts[1 : NOISY_PICTURES + 1]).pvalue > 0.01


def test_the_noise_on_pictures_is_that_of_the_script(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """exp(N(-3, 0.5)) on pixels in [-1, 1]; the mean over many pixels shows it."""
    seen: list[torch.Tensor] = []
    encode = case.pipe.vae.encode
    monkeypatch.setattr(case.pipe.vae, "encode", lambda clip: seen.append(clip) or encode(clip))
    video = to_tensor(case.pixels)[None]
    with torch.no_grad(), no_sampling():
        for generator in generators(4):
            case.family.encode_clip(case.pipe, video, 8.0, generator)
    clean = [clip for clip in seen if clip.shape[2] == 1 and torch.equal(clip, video[:, :, :1])]
    noisy = [clip - video[:, :, :1] for clip in seen if clip.shape[2] == 1]
    levels = torch.stack([noise.std() for noise in noisy if noise.any()]).log()
    assert len(clean) == 4
    assert len(levels) == 4 * NOISY_PICTURES
    assert stats.kstest(levels.numpy(), "norm", (-3.0, 0.5)).pvalue > 0.01


def test_without_a_picture_its_channels_are_zero(case: Case) -> None:
    draw = case.drawn(case.batch["latents"])
    assert isinstance(draw, PictureDraw)
    without = replace(draw, picture=torch.tensor([NO_PICTURE]))
    _, call = case.forward(without, case.batch)
    channels = draw.noisy.shape[2]
    assert not call["hidden_states"][:, :, channels:].any()


@pytest.mark.parametrize("frames", [5, 9, 13])
def test_a_length_at_which_the_network_leaves_its_learned_positions_is_refused(
    frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(CogVideoX, tiny_pipeline("cogvideox"), (32, 48), 9)
    embed, computed = case.pipe.transformer.patch_embed, []
    compute = embed._get_positional_embeddings
    monkeypatch.setattr(embed, "_get_positional_embeddings",
                        lambda *size, **device: computed.append(size) or compute(*size, **device))
    latents = torch.zeros(1, case.family.geometry.latent_frames(frames), 8, 4, 6)
    embed(torch.zeros(1, 226, 16), latents)
    assert bool(computed) == (frames != 9)
    words = f"clips should be 9 frames of 32x48.* got {frames} frames of 32x48"
    with pytest.raises(ValueError, match=words) if computed else nullcontext():
        case.family.check_clip(frames, 32, 48)


def test_a_size_that_learned_positions_do_not_have_is_refused() -> None:
    family = Case(CogVideoX, tiny_pipeline("cogvideox"), (32, 48), 9).family
    with pytest.raises(ValueError, match=r"clips should be 9 frames of 32x48.* 9 frames of 32x32"):
        family.check_clip(9, 32, 32)


def test_a_lora_of_cogvideox_loads_into_the_pipeline(case: Case, tmp_path: Path) -> None:
    lora_round_trip(case, tmp_path)
