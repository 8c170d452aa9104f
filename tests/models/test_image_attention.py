"""Image tokens by attention of their own, relative positions, causal masks and wide kernels."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from attention_variants import QUERIES, SMALL, VARIANTS, draw, inputs, written_out
from diffusers.models.attention_processor import Attention
from tiny_model import tiny_unet
from torch import nn
from torch.nn import functional

from motifocal.models.attention import (
    ImageTokenProcessor,
    RelativePositions,
    TemporalProcessor,
    attend_together,
)
from motifocal.models.unet import TI2VUNet, UNetConfig


def attention(heads: int = 2, width: int = 4, context: int | None = None) -> Attention:
    torch.manual_seed(3)
    return Attention(heads * width, context, heads=heads, dim_head=width)


@pytest.mark.parametrize("per_frame", [False, True])
@torch.no_grad()
def test_the_output_is_text_plus_scale_times_image_with_shared_queries(per_frame: bool) -> None:
    layer = attention(context=12)
    layer.to_k_ip, layer.to_v_ip = (nn.Linear(12, 8, bias=False) for _ in range(2))
    layer.set_processor(ImageTokenProcessor(scale=0.5))
    frames, x, text = 3, draw(2 * 3, 7, 8), draw(2, 5, 12, seed=2)
    image = draw(2 * (frames if per_frame else 1), 4, 12, seed=5)
    out = layer(x, encoder_hidden_states=text, image_tokens=image)
    for place in range(len(x)):
        clip = place // frames
        tokens = image[place if per_frame else clip]
        q = layer.to_q(x[place])
        told = written_out(q, layer.to_k(text[clip]), layer.to_v(text[clip]), 2)
        seen = written_out(q, layer.to_k_ip(tokens), layer.to_v_ip(tokens), 2)
        expected = layer.to_out[0](told + 0.5 * seen)
        torch.testing.assert_close(out[place], expected, atol=1e-5, rtol=1e-5)


def test_self_attention_in_space_does_not_look_at_the_image() -> None:
    layer = attention()
    layer.set_processor(ImageTokenProcessor(scale=1.0))
    x = draw(6, 7, 8)
    assert torch.equal(layer(x), layer(x, image_tokens=draw(2, 4, 8)))


@pytest.mark.parametrize("causal", [False, True])
@torch.no_grad()
def test_relative_positions_and_the_mask_follow_their_formula(causal: bool) -> None:
    layer, longest, frames, width = attention(), 2, 5, 4
    layer.relative_position_k = RelativePositions(longest, width)
    layer.relative_position_v = RelativePositions(longest, width)
    layer.set_processor(TemporalProcessor(causal))
    x = draw(3, frames, 8)
    tables = [part.embeddings_table
              for part in (layer.relative_position_k, layer.relative_position_v)]
    expected = torch.zeros(3, frames, 8)
    for sequence in range(3):
        q, k, v = (
            project(x[sequence]).view(frames, 2, width)
            for project in (layer.to_q, layer.to_k, layer.to_v)
        )
        for head in range(2):
            for i in range(frames):
                seen = range(i + 1 if causal else frames)
                place = [max(-longest, min(longest, j - i)) + longest for j in seen]
                scores = torch.stack([q[i, head] @ (k[j, head] + tables[0][p])
                                      for j, p in zip(seen, place, strict=True)]) / 2
                shares = scores.softmax(0)
                values = torch.stack([v[j, head] + tables[1][p]
                                      for j, p in zip(seen, place, strict=True)])
                expected[sequence, i, head * width : (head + 1) * width] = shares @ values
    torch.testing.assert_close(layer(x), layer.to_out[0](expected), atol=1e-5, rtol=1e-5)


def test_frames_further_apart_than_the_length_share_a_vector() -> None:
    positions = RelativePositions(2, 4)
    vectors = positions(6)
    assert torch.equal(vectors[0, 2], vectors[0, 5])
    assert torch.equal(vectors[5, 3], vectors[5, 0])
    assert not torch.equal(vectors[0, 1], vectors[0, 2])
    assert positions.embeddings_table.shape == (5, 4)  # one table, whatever the number of heads


@pytest.mark.parametrize(("blocks", "first"), [(True, False), (False, True)])
def test_the_mask_is_chosen_for_blocks_and_for_the_first_attention(
    blocks: bool, first: bool
) -> None:
    unet = tiny_unet(replace(SMALL, causal_attention=blocks, causal_input_attention=first))

    def looks_ahead(transformer: nn.Module, channels: int) -> bool:
        x, frames = draw(3, channels, 2, 2), 3
        changed = torch.cat([x[:2], x[2:] + 1])
        layer = transformer.transformer_blocks[0]
        outs = (layer(v.permute(0, 2, 3, 1).reshape(frames, 4, -1).transpose(0, 1))
                for v in (x, changed))
        one, other = outs
        return not torch.equal(one[:, :2], other[:, :2])

    width = unet.transformer_in.proj_in.out_features
    assert looks_ahead(unet.transformer_in, width) is not first
    assert looks_ahead(unet.mid_block.temp_attentions[0], 32) is not blocks


@pytest.mark.parametrize(
    ("kernel", "sizes"),
    [
        ("3x1x1", [(3, 1, 1)] * 4),
        ("3x3x3", [(3, 3, 3), (3, 3, 3), (3, 1, 1), (3, 1, 1)]),
        ("3x3x1,3x1x3", [(3, 3, 1), (3, 1, 3)] * 2),
    ],
)
@torch.no_grad()
def test_temporal_convolutions_have_the_published_kernels(kernel: str, sizes: list) -> None:
    layer = tiny_unet(replace(SMALL, temporal_kernel=kernel)).mid_block.temp_convs[0]
    x = draw(2 * 3, 32, 3, 4)
    expected = video = x.unflatten(0, (2, 3)).transpose(1, 2)
    for branch, size in zip((layer.conv1, layer.conv2, layer.conv3, layer.conv4), sizes,
                            strict=True):
        norm, convolution = branch[0], branch[-1]
        assert convolution.weight.shape[2:] == size
        expected = functional.silu(norm(expected))
        padding = tuple(side // 2 for side in size)
        expected = functional.conv3d(expected, convolution.weight, convolution.bias,
                                     padding=padding)
    expected = (video + expected).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(layer(x, num_frames=3), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_scale_of_0_is_the_text_alone() -> None:
    config = replace(SMALL, image_scale=0.0)
    unet, given = tiny_unet(config), inputs(config)
    assert torch.equal(unet(**given), unet(**given | {"image_tokens": draw(2, 5, 6, seed=9)}))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_fresh_network_outputs_zero_and_every_parameter_learns(name: str) -> None:
    config = VARIANTS[name]
    torch.manual_seed(0)
    assert not TI2VUNet.build(config)(**inputs(config)).any()
    unet = tiny_unet(config)
    unet(**inputs(config)).square().sum().backward()
    assert [n for n, p in unet.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", ["resampler for each frame", "relative and causal", "3x3x3"])
def test_checkpointed_gradients_and_a_saved_copy_are_the_same(name: str, tmp_path: Path) -> None:
    config = VARIANTS[name]
    unet, given = tiny_unet(config), inputs(config)
    out = unet(**given)
    out.square().mean().backward()
    plain = {n: p.grad.clone() for n, p in unet.named_parameters()}
    unet.zero_grad()
    unet.enable_gradient_checkpointing()
    unet(**given).square().mean().backward()
    for n, p in unet.named_parameters():
        torch.testing.assert_close(p.grad, plain[n], atol=1e-6, rtol=1e-4)

    unet.save_pretrained(tmp_path)
    loaded = TI2VUNet.from_pretrained(tmp_path, trust_remote_code=False)
    assert loaded.unet_config == config
    with torch.no_grad():
        assert torch.equal(loaded(**given), out)


def test_a_model_saved_before_these_options_loads_as_the_same_function(tmp_path: Path) -> None:
    config = replace(SMALL, image_attention="appended")
    unet, given = tiny_unet(config), inputs(config)
    unet.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    known = ("image_condition", "image_token_dim")
    new = ("image_", "resampler", "relative", "causal", "temporal_kernel", "motion_")
    values = json.loads(file.read_text())
    added = [n for n in asdict(config) if n.startswith(new) and n not in known]
    assert len(added) == 11
    for name in added:
        del values[name]
    file.write_text(json.dumps(values))
    assert UNetConfig.from_mapping(values) == config
    loaded = TI2VUNet.from_pretrained(tmp_path, trust_remote_code=False)
    with torch.no_grad():
        assert torch.equal(loaded(**given), unet(**given))


def test_tokens_of_the_wrong_shape_are_refused() -> None:
    for config, shape, message in (
        (SMALL, (2, 2, 5, 6), r"image_tokens should be \(2, 3, any, 6\), got \(2, 2, 5, 6\)"),
        (SMALL, (2, 5, 7), r"image_tokens should be \(2, any, 6\), got \(2, 5, 7\)"),
        (VARIANTS["resampler"], (2, 3, 5, 6), r"should be \(2, any, 6\), got \(2, 3, 5, 6\)"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny_unet(config)(**inputs(config) | {"image_tokens": torch.zeros(shape)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_attention": "own"}, "image_attention should be one of"),
        ({"image_projection": "mlp"}, "image_projection should be one of"),
        ({"image_projection": "resampler"}, "resampler should be sizes"),
        ({"resampler": QUERIES}, "resampler should be None with image_projection 'linear'"),
        ({"image_projection": "none"}, "should be cross_attention_dim 12 without a projection"),
        ({"temporal_kernel": "5x1x1"}, "temporal_kernel should be one of"),
        ({"relative_positions": 0}, "relative_positions should be at least 1 frame, got 0"),
        (
            {
                "image_attention": "appended",
                "image_projection": "resampler",
                "resampler": replace(QUERIES, frames=3),
            },
            "for each frame should go with decoupled",
        ),
    ],
)
def test_options_that_do_not_fit_each_other_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_sequences_that_see_the_same_keys_may_be_laid_side_by_side() -> None:
    q, k, v = draw(6, 3, 8), draw(2, 5, 8, seed=2), draw(2, 5, 8, seed=3)
    repeated = [x.repeat_interleave(3, dim=0) for x in (k, v)]
    expected = attend_together(q, *repeated, heads=2)
    torch.testing.assert_close(attend_together(q, k, v, heads=2), expected, atol=1e-6, rtol=1e-5)
