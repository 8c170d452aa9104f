"""Fine-tuning Kandinsky 5: the transformer gets what diffusers' pipeline gives it, and so on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
from safetensors.torch import load_file
from tiny_kandinsky import tiny_kandinsky
from torch.nn import functional as F

from motifocal.training.families.kandinsky5 import Kandinsky5, Kandinsky5Sparse
from motifocal.training.finetune.adapter import lora_config, write_lora

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def case() -> Case:
    # Six latents: the pipeline evens out the first four by those that follow.
    return Case(Kandinsky5, tiny_kandinsky(), (32, 48), 21)


@pytest.mark.parametrize("step", [0, 1])
def test_kandinsky_hands_over_what_the_pipeline_does(case: Case, step: int) -> None:
    same_call(case, step)


def test_lambda_0_is_the_mean_over_the_latents_that_are_sampled(case: Case) -> None:
    draw, prediction, loss = loss_of(case, 0.0)
    latents = case.two["latents"].permute(0, 2, 3, 4, 1)  # (B, F', h, w, C)
    t = draw.time.view(-1, 1, 1, 1, 1)
    noisy = torch.cat([latents[:, :1], ((1 - t) * latents + t * draw.noise)[:, 1:]], 1)
    assert torch.equal(draw.noisy, noisy)
    velocity = draw.noise - latents
    for i in range(2):
        theirs = F.mse_loss(prediction[i, 1:], velocity[i, 1:])
        assert torch.equal(loss.total[i], theirs)


def test_kandinsky_learns_nothing_on_the_given_latent(case: Case) -> None:
    assert case.family.given(case.batch["latents"]).flatten().tolist() == [True, *[False] * 5]
    no_gradient_where_given(case)


def test_each_sample_is_drawn_as_it_is_alone(case: Case) -> None:
    draws_of_a_sample_are_its_own(case)


def test_kandinsky_draws_the_density_of_its_trainer(case: Case) -> None:
    draws_shifted_logit_normal(case, 5.0)


def test_texts_of_several_lengths_are_seen_without_padding(case: Case) -> None:
    batch, model = case.two, case.pipe.transformer
    assert len(set(batch["text_length"].tolist())) == 2
    draw = case.drawn(batch["latents"])
    with torch.no_grad():
        both = case.family.forward(model, draw, batch)
        for i in range(2):
            one = slice(i, i + 1)
            alone = case.family.forward(
                model, replace(draw, noisy=draw.noisy[one], time=draw.time[one]),
                {name: value[one] for name, value in batch.items()},
            )  # fmt: skip
            assert torch.equal(both[one], alone)


def test_sparse_attention_has_a_size_of_its_own(case: Case) -> None:
    index, configs = configs_of(case.pipe)
    nabla = {**configs, "transformer": {**configs["transformer"], "attention_type": "nabla"}}
    assert not Kandinsky5Sparse.matches(index, configs)
    assert Kandinsky5Sparse.matches(index, nabla)
    assert not Kandinsky5.matches(index, nabla)
    assert Kandinsky5Sparse(index, nabla).size_multiple == 128


def test_the_original_names_are_those_of_diffusers(tmp_path: Path) -> None:
    name = "visual_transformer_blocks.0.self_attention.to_query.lora_A.weight"
    diffusers, original = write_lora(tmp_path, {f"transformer.{name}": torch.ones(1)},
                                     lora_config(1, 1, Kandinsky5.lora_targets),
                                     Kandinsky5.original_names, {})  # fmt: skip
    assert load_file(diffusers) == {f"transformer.{name}": torch.ones(1)}
    assert load_file(original) == {f"diffusion_model.{name}": torch.ones(1)}


def test_a_lora_of_kandinsky_loads_into_the_pipeline(case: Case, tmp_path: Path) -> None:
    lora_round_trip(case, tmp_path)
