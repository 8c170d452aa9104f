"""Fine-tuning HunyuanVideo-I2V: the transformer gets what diffusers' pipeline gives it, and so on.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from family_checks import (
    Case,
    draws_of_a_sample_are_its_own,
    draws_shifted_logit_normal,
    loss_of,
    no_gradient_where_given,
    same_call,
)
from family_lora import lora_round_trip
from tiny_diffusers import tiny_pipeline
from torch.nn import functional as F

from motifocal.training.families.hunyuan import HunyuanVideo, HunyuanVideoConcat

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
GUIDANCE = {"guidance_scale": 6.0}


@pytest.fixture(scope="module", params=["token_replace", "latent_concat"])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "token_replace":
        return Case(HunyuanVideo, tiny_pipeline("hunyuan"), (32, 48), 9, GUIDANCE)
    return Case(HunyuanVideoConcat, tiny_pipeline("hunyuan-33ch"), (32, 48), 9, GUIDANCE)


@pytest.mark.parametrize("step", [0, 1])
def test_hunyuan_hands_over_what_the_pipeline_does(case: Case, step: int) -> None:
    same_call(case, step)


def test_lambda_0_is_the_loss_of_tencents_script(case: Case) -> None:
    """hyvideo/diffusion/flow/transport.py: the first latent, where it is replaced, is cut off."""
    draw, prediction, loss = loss_of(case, 0.0)
    latents = case.two["latents"]
    t = draw.time.view(-1, 1, 1, 1, 1)
    noisy, start = (1 - t) * latents + t * draw.noise, 0
    if case.kind is HunyuanVideo:
        noisy, start = torch.cat([latents[:, :, :1], noisy[:, :, 1:]], 2), 1
    assert torch.equal(draw.noisy, noisy)
    velocity = draw.noise - latents
    for i in range(2):
        theirs = F.mse_loss(prediction[i, :, start:], velocity[i, :, start:])
        assert torch.equal(loss.total[i], theirs)


def test_hunyuan_learns_nothing_on_the_given_latent(case: Case) -> None:
    given = case.family.given(case.batch["latents"]).flatten().tolist()
    assert given == [case.kind is HunyuanVideo, False, False]
    no_gradient_where_given(case)


def test_each_sample_is_drawn_as_it_is_alone(case: Case) -> None:
    draws_of_a_sample_are_its_own(case)


def test_hunyuan_draws_the_density_of_tencents_script(case: Case) -> None:
    draws_shifted_logit_normal(case, 7.0)


def test_what_is_cached_of_a_prompt_depends_on_the_picture(case: Case) -> None:
    other = case.batch_of(255 - case.pixels, "the blue balloon dips down")
    assert torch.equal(other["pooled"], case.batch["pooled"])
    assert not torch.equal(other["text"], case.batch["text"])


def test_a_lora_of_hunyuan_loads_into_the_pipeline(case: Case, tmp_path: Path) -> None:
    lora_round_trip(case, tmp_path)
