"""Fine-tuning LTX-Video: the transformer gets what diffusers' pipeline gives it, and so on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from family_checks import (
    DRAWS,
    Case,
    draws_of_a_sample_are_its_own,
    fits,
    loss_of_ltx_trainer,
    no_gradient_where_given,
    same_call,
)
from family_lora import lora_round_trip
from noise_densities import ltx_cdf
from tiny_diffusers import tiny_pipeline

from motifocal.training.families.ltx import LTX, LTXCondition
from motifocal.training.families.noise_levels import stretched_logit_normal

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", params=["0.9", "0.9.5"])
def case(request: pytest.FixtureRequest) -> Case:
    call = {"frame_rate": 12.0}
    if request.param == "0.9":
        return Case(LTX, tiny_pipeline("ltx"), (64, 96), 17, call, fps=12.0)
    call["image_cond_noise_scale"] = 0.0
    return Case(LTXCondition, tiny_pipeline("ltx-condition"), (64, 96), 17, call, fps=12.0)


@pytest.mark.parametrize("step", [0, 1])
def test_ltx_hands_over_what_the_pipeline_does(case: Case, step: int) -> None:
    same_call(case, step)


def test_lambda_0_is_the_loss_of_ltx_trainer(case: Case) -> None:
    loss_of_ltx_trainer(case)


def test_ltx_learns_nothing_on_the_given_frame(case: Case) -> None:
    no_gradient_where_given(case)


def test_each_sample_is_drawn_as_it_is_alone(case: Case) -> None:
    draws_of_a_sample_are_its_own(case)


@pytest.mark.parametrize("tokens", [384, 2688, 20_000])
def test_ltx_draws_the_density_of_its_trainer(tokens: int) -> None:
    fits(stretched_logit_normal(DRAWS, tokens, torch.Generator().manual_seed(0)), ltx_cdf(tokens))


def test_ltx_draws_by_the_number_of_tokens(case: Case) -> None:
    latents = case.batch["latents"][0]
    drawn = case.family.draw_sigma(torch.Generator().manual_seed(7), latents, "transformer")
    expected = stretched_logit_normal(1, 3 * 2 * 3, torch.Generator().manual_seed(7))
    assert torch.equal(drawn, expected[0])


def test_a_lora_of_ltx_loads_into_the_pipeline(case: Case, tmp_path: Path) -> None:
    lora_round_trip(case, tmp_path)


def test_clips_of_two_rates_are_no_batch(case: Case) -> None:
    batch = {**case.two, "fps": torch.tensor([12.0, 24.0])}
    with pytest.raises(ValueError, match=r"one rate, got \[12.0, 24.0\]"):
        case.forward(case.drawn(batch["latents"]), batch)
