"""Fine-tuning HunyuanVideo 1.5: the transformer gets what diffusers' pipeline gives it, and so on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from family_checks import (
    Case,
    configs_of,
    draws_of_a_sample_are_its_own,
    draws_shifted_logit_normal,
    loss_of,
    no_gradient_where_given,
    same_call,
)
from family_lora import lora_round_trip
from tiny_diffusers import tiny_pipeline
from torch.nn import functional as F

from motifocal.training.families.hunyuan15 import HunyuanVideo15

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def case() -> Case:
    pipe: Any = tiny_pipeline("hunyuan15")
    pipe.guider = pipe.guider.new(guidance_scale=1.0)  # one call a step
    return Case(HunyuanVideo15, pipe, (16, 32), 9)


@pytest.mark.parametrize("step", [0, 1])
def test_hunyuan_hands_over_what_the_pipeline_does(case: Case, step: int) -> None:
    same_call(case, step)


def test_lambda_0_is_the_loss_of_train_py(case: Case) -> None:
    draw, prediction, loss = loss_of(case, 0.0)
    latents = case.two["latents"]
    t = draw.time.view(-1, 1, 1, 1, 1)
    assert torch.equal(draw.noisy, (1 - t) * latents + t * draw.noise)
    for i in range(2):
        theirs = F.mse_loss(prediction[i], draw.noise[i] - latents[i])
        assert torch.equal(loss.total[i], theirs)


def test_every_latent_of_hunyuan_is_learned(case: Case) -> None:
    assert not case.family.given(case.batch["latents"]).any()
    no_gradient_where_given(case)


def test_each_sample_is_drawn_as_it_is_alone(case: Case) -> None:
    draws_of_a_sample_are_its_own(case)


def test_hunyuan_draws_the_density_of_train_py(case: Case) -> None:
    # Theirs lies in [1e-5, 1 - 1e-5] before the shift, which no test can tell from [0, 1].
    draws_shifted_logit_normal(case, 3.0)


def test_models_distilled_to_few_steps_are_not_trained(case: Case) -> None:
    index, configs = configs_of(case.pipe)
    distilled = {**configs, "transformer": {**configs["transformer"], "use_meanflow": True}}
    assert HunyuanVideo15.matches(index, configs)
    assert not HunyuanVideo15.matches(index, distilled)


def test_a_lora_of_hunyuan_loads_into_the_pipeline(case: Case, tmp_path: Path) -> None:
    lora_round_trip(case, tmp_path)
