"""Fine-tuning LTX-2: the transformer gets what diffusers' pipeline gives it for the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from family_checks import (
    Call,
    Case,
    draws_of_a_sample_are_its_own,
    loss_of_ltx_trainer,
    no_gradient_where_given,
    same,
    same_call,
)
from family_lora import lora_round_trip
from peft import LoraConfig
from tiny_ltx2 import tiny_ltx2

from motifocal.training.families.ltx2 import LTX2
from motifocal.training.families.noise_levels import stretched_logit_normal

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
#: Where the call without sound differs from the pipeline's.
SOUND = ("audio_hidden_states", "audio_num_frames", "audio_coords", "isolate_modalities")


@pytest.fixture(scope="module", params=["2.0", "2.3", "2.5"])
def case(request: pytest.FixtureRequest) -> Case:
    # Clips are frames of compressed videos already, so the picture is not compressed either.
    call = {
        "frame_rate": 12.0, "image_crf": 0, "audio_guidance_scale": 1.0, "stg_scale": 0.0,
        "audio_stg_scale": 0.0, "modality_scale": 1.0, "audio_modality_scale": 1.0,
    }  # fmt: skip
    return Case(LTX2, tiny_ltx2(request.param), (64, 96), 17, call, fps=12.0)


@pytest.mark.parametrize("step", [0, 1])
def test_ltx_2_hands_over_what_the_pipeline_does_but_for_the_sound(case: Case, step: int) -> None:
    call = same_call(case, step, skipped=(*SOUND, "video_coords"))
    assert call["isolate_modalities"]
    assert not call["audio_hidden_states"].any()
    # The positions are computed in the network, at the same rate.
    rope = case.pipe.transformer.rope
    coords = rope.prepare_video_coords(1, 3, 2, 3, torch.device("cpu"), fps=call["fps"])
    same(coords, case.pipeline_calls[step]["video_coords"], "video_coords")


def test_the_sound_does_not_enter_the_prediction(case: Case) -> None:
    """The pipeline's own call, its sound kept apart, predicts the same bit for bit."""
    draw = case.drawn(case.batch["latents"])
    mine, call = case.forward(draw, case.batch)
    theirs: Call = {**case.pipeline_calls[0]}
    for name in ("hidden_states", "timestep", "sigma", "audio_timestep", "isolate_modalities"):
        theirs[name] = call[name]
    assert theirs["audio_hidden_states"].shape[1] > 1
    assert theirs["audio_hidden_states"].any()
    assert torch.equal(mine, case.pipe.transformer(**theirs)[0].float())
    together = case.pipe.transformer(**{**theirs, "isolate_modalities": False})[0]
    assert not torch.equal(mine, together)


def test_lambda_0_is_the_loss_of_ltx_trainer(case: Case) -> None:
    loss_of_ltx_trainer(case)


def test_ltx_2_learns_nothing_on_the_given_frame(case: Case) -> None:
    no_gradient_where_given(case)


def test_each_sample_is_drawn_as_it_is_alone(case: Case) -> None:
    draws_of_a_sample_are_its_own(case)


def test_ltx_2_draws_as_ltx_video_does(case: Case) -> None:
    # Whose density is that of ltx-trainer: tests/finetune/test_family_ltx.py.
    latents = case.batch["latents"][0]
    drawn = case.family.draw_sigma(torch.Generator().manual_seed(7), latents, "transformer")
    expected = stretched_logit_normal(1, 3 * 2 * 3, torch.Generator().manual_seed(7))
    assert torch.equal(drawn, expected[0])


def test_a_lora_of_ltx_2_loads_into_the_pipeline(case: Case, tmp_path: Path) -> None:
    lora_round_trip(case, tmp_path)


def test_the_lora_lies_on_the_video_alone(case: Case) -> None:
    model: Any = case.pipe.transformer
    model.add_adapter(LoraConfig(r=2, target_modules=list(case.family.lora_targets)))
    names = {name.split(".lora_A")[0] for name in model.state_dict() if "lora_A" in name}
    model.delete_adapters("default")
    assert len(names) == 8
    assert not [name for name in names if "audio" in name]
