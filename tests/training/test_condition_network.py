"""A network that is told tokens of latents and priors: its inputs, first weights from a base."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from network_options import LATENT_TOKENS, PRIORS
from tiny_model import UNET, tiny_unet

from motifocal.models.image.inputs import image_inputs, latent_tokens
from motifocal.models.image.resampler_config import ResamplerConfig
from motifocal.models.unet import TI2VUNet
from motifocal.training.first_weights import first_weights


def inputs(config: Any) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(2, 4, 4, 4, generator=generator)
    return {
        "sample": torch.randn(2, 4, 3, 4, 4, generator=generator), "timestep": 500,
        "encoder_hidden_states": torch.randn(2, 5, 16, generator=generator), "fps": 8.0,
        **image_inputs(config, latent),
    }


@pytest.mark.parametrize("condition", ["concat", "attention", "both"])
def test_a_prior_that_is_not_told_changes_nothing(condition: Any) -> None:
    tokens = {} if condition == "concat" else LATENT_TOKENS
    config = replace(UNET, image_condition=condition, **tokens, **PRIORS)
    unet, given = tiny_unet(config), inputs(config)
    with torch.no_grad():
        unet.conv_in.weight[:, -1] = 0.1  # zero until it is trained
    untold = unet(**given)
    nothing, everywhere = torch.full((2,), torch.nan), torch.ones(2, 1, 4, 4)
    said = unet(**given, motion_score=nothing, motion_mask=everywhere)
    assert torch.equal(said, untold)
    assert not torch.equal(unet(**given, motion_score=0.7), untold)
    assert not torch.equal(unet(**given, motion_mask=torch.zeros(2, 1, 4, 4)), untold)
    half = unet(**given, motion_score=torch.tensor([torch.nan, 0.7]))
    assert torch.equal(half[0], untold[0])
    assert not torch.equal(half[1], untold[1])


def test_the_first_weights_of_a_network_with_priors_are_those_without() -> None:
    torch.manual_seed(4)
    plain = TI2VUNet.build(UNET).state_dict()
    torch.manual_seed(4)
    told = TI2VUNet.build(replace(UNET, **PRIORS)).state_dict()
    for name, weight in plain.items():
        other = told[name]
        assert torch.equal(other[:, :8] if name == "conv_in.weight" else other, weight), name
    assert not told["conv_in.weight"][:, 8:].any()


def test_tokens_of_latents_hold_every_value_and_tell_places_apart() -> None:
    latent = torch.arange(1.0, 129).view(1, 4, 4, 8)
    tokens = latent_tokens(latent)
    assert tokens.shape == (1, 8, 32)
    assert sorted(tokens[0, :, :16].flatten().tolist()) == list(range(1, 129))
    places = tokens[0, :, 16:]
    assert torch.pdist(places).min() > 0.3
    with pytest.raises(ValueError, match="latents should divide by 2, got 3x4"):
        latent_tokens(latent[:, :, :3, :4])


def test_dropped_tokens_are_those_of_no_image() -> None:
    config = replace(UNET, image_condition="attention", image_token_dim=6)
    tokens, blank = torch.ones(2, 5, 6), torch.full((1, 5, 6), -1.0)
    told = image_inputs(config, None, tokens, dropped=torch.tensor([True, False]), blank=blank)
    assert told.keys() == {"image_tokens"}
    assert told["image_tokens"][:, 0, 0].tolist() == [-1, 1]
    config = replace(UNET, image_condition="attention", **LATENT_TOKENS)
    told = image_inputs(config, torch.ones(2, 4, 4, 4), dropped=torch.tensor([False, True]))
    assert told["image_tokens"][0].any()
    assert not told["image_tokens"][1].any()


@pytest.mark.parametrize(("start", "condition"),
                         [("none", "attention"), ("none", "both"), ("concat", "both")])
def test_a_widened_network_begins_as_its_base(start: Any, condition: Any) -> None:
    base = tiny_unet(replace(UNET, image_condition=start))
    config = replace(UNET, image_condition=condition, **LATENT_TOKENS, **PRIORS)
    torch.manual_seed(3)
    made = first_weights(base, config).eval()
    given = inputs(config)
    theirs = {key: value for key, value in given.items()
              if key != "image_tokens" and (start == "concat" or key != "image_latent")}
    told = {"motion_score": 0.3, "motion_mask": torch.zeros(2, 1, 4, 4)}
    torch.testing.assert_close(made(**given, **told), base(**theirs), rtol=1e-5, atol=1e-5)
    cross = made.mid_block.attentions[0].transformer_blocks[0].attn2
    assert torch.equal(cross.to_k_ip.weight, cross.to_k.weight)
    assert not cross.to_v_ip.weight.any()
    assert made.image_proj[1].weight.any()


def test_a_base_that_never_learnt_to_see_the_image_on_channels_may_leave_them() -> None:
    config = replace(UNET, image_condition="attention", **LATENT_TOKENS)
    base = tiny_unet()
    with pytest.raises(ValueError, match="should keep the image latents that unet/ has learnt"):
        first_weights(base, config)
    with torch.no_grad():
        base.conv_in.weight[:, 4:] = 0  # as imported
    assert first_weights(base, config).conv_in.in_channels == 4


def test_a_base_does_not_lose_what_it_has_learnt() -> None:
    base = tiny_unet(replace(UNET, image_condition="both", **LATENT_TOKENS))
    with pytest.raises(ValueError, match="image_token_dim should be 32, which unet/ has learnt"):
        first_weights(base, UNET)
    with pytest.raises(ValueError, match="image_projection should be linear, which unet/ has"):
        first_weights(base, replace(base.unet_config, image_projection="resampler",
                                    resampler=ResamplerConfig(8, 1, 1, 8, 2)))
    told = tiny_unet(replace(UNET, motion_score=True))
    with pytest.raises(ValueError, match="motion_score should be True, which unet/ has learnt"):
        first_weights(told, UNET)
    with pytest.raises(ValueError, match=r"unet should be .*got"):
        first_weights(base, replace(base.unet_config, temporal_dropout=0.3))
