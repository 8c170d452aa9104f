"""The resampler of image tokens: its formula, and tokens for each frame."""

from __future__ import annotations

from dataclasses import replace

import torch
from attention_variants import QUERIES, VARIANTS, draw, inputs, written_out
from tiny_model import tiny_unet
from torch import nn

from motifocal.models.image.projection import Resampler


@torch.no_grad()
def test_the_resampler_follows_its_formula() -> None:
    torch.manual_seed(0)
    resampler = Resampler(QUERIES, 6, 12)
    tokens = draw(2, 5, 6)
    expected = []
    for clip in resampler.proj_in(tokens):
        x = resampler.queries[0]
        for layer in resampler.layers:
            queries = layer.norm_queries(x)
            k, v = layer.to_kv(torch.cat([layer.norm_tokens(clip), queries])).chunk(2, dim=-1)
            x = x + layer.to_out(written_out(layer.to_q(queries), k, v, QUERIES.heads))
            norm, widen, gelu, narrow = layer.feed_forward
            x = x + narrow(gelu(widen(norm(x))))
        expected.append(resampler.norm_out(resampler.proj_out(x)))
    out = resampler(tokens)
    assert out.shape == (2, 3, 12)
    torch.testing.assert_close(out, torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_a_resampler_for_frames_makes_as_many_tokens_for_each() -> None:
    resampler = Resampler(replace(QUERIES, frames=4), 6, 12)
    assert resampler.queries.shape == (1, 4 * 3, 16)
    assert resampler(draw(2, 5, 6)).shape == (2, 4, 3, 12)


@torch.no_grad()
def test_the_same_tokens_for_every_frame_are_the_tokens_of_the_clip() -> None:
    config = VARIANTS["no projection"]
    unet, given = tiny_unet(config), inputs(config)
    repeated = given["image_tokens"][:, None].expand(-1, 3, -1, -1)
    out = unet(**given | {"image_tokens": repeated})
    torch.testing.assert_close(out, unet(**given), atol=2e-5, rtol=0)
    other = repeated.clone()
    other[:, 1] += 1
    assert (unet(**given | {"image_tokens": other}) - out).abs().max() > 1e-3


@torch.no_grad()
def test_each_frame_of_another_length_of_clip_sees_the_tokens_of_all_frames() -> None:
    config = VARIANTS["resampler for each frame"]
    unet, given = tiny_unet(config), inputs(config, frames=2)
    seen = unet(**given)
    tokens = unet.image_proj(given["image_tokens"]).flatten(1, 2)
    unet.image_proj = nn.Identity()
    unet.unet_config = VARIANTS["no projection"]
    assert torch.equal(seen, unet(**given | {"image_tokens": tokens}))
