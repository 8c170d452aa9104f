"""Weights by the difference of latents: cold at rest, hot where something changes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from motifocal.loss.latent_difference import UNITS, LatentSettings, latent_weight
from motifocal.loss.latent_grid import FAMILIES, LatentGeometry, pool, valid_mask
from motifocal.media.video import to_tensor
from motifocal.models.autoencoder import encode
from motifocal.scenes.render import render
from motifocal.scenes.stage import make_stage
from motifocal.training.run_folder import geometry_of, load_vae

PLAIN = LatentGeometry(spatial_stride=8, temporal_stride=1)
BUNDLED = Path(__file__).parents[2] / "motifocal" / "bundled"


def moving(count: int = 6, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """(B, 4, F', 12, 16) of noise that rests, but for a square of 3 x 3 that moves right by 2."""
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(batch, 4, 1, 12, 16, generator=generator).repeat(1, 1, count, 1, 1)
    for frame in range(count):
        latents[:, :, frame, 4:7, 1 + 2 * frame : 4 + 2 * frame] = 3.0
    return latents


def test_what_moves_is_hot_where_it_was_and_where_it_goes_and_all_else_is_cold() -> None:
    weight = latent_weight(moving(), PLAIN, 6)
    assert weight.shape == (1, 1, 6, 12, 16)
    assert weight.dtype == torch.float32
    for frame in range(5):
        hot = weight[0, 0, frame, 4:7] > 0.5
        place = 1 + 2 * frame
        assert hot[:, place].all()
        assert hot[:, place + 4].all()
        assert not hot[:, :place].any()
        assert not hot[:, place + 5 :].any()
    assert weight[:, :, :, :4].max() == weight[:, :, :, 7:].max() < 1e-6
    assert torch.equal(weight[:, :, 5], weight[:, :, 4])


@pytest.mark.parametrize("unit", UNITS)
def test_a_still_clip_is_cold_even_with_noise_below_the_floor(unit: str) -> None:
    latents = moving(1).repeat(1, 1, 6, 1, 1)
    settings = LatentSettings(unit)
    assert latent_weight(latents, PLAIN, 6, settings).max() < 0.01
    noise = 0.05 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    assert latent_weight(latents + noise, PLAIN, 6, settings).max() < 0.01
    if unit != "deviations":
        without = LatentSettings(unit, floor=0)
        assert latent_weight(latents + noise, PLAIN, 6, without).max() > 0.5


def test_scale_and_shift_of_the_channels_change_nothing() -> None:
    latents = moving()
    scale = torch.tensor([0.1, 1.0, 30.0, -2.0]).view(1, 4, 1, 1, 1)
    shift = torch.tensor([5.0, 0.0, -3.0, 1.0]).view(1, 4, 1, 1, 1)
    torch.testing.assert_close(
        latent_weight(latents * scale + shift, PLAIN, 6), latent_weight(latents, PLAIN, 6),
        atol=1e-4, rtol=0,
    )  # fmt: skip


def test_a_clip_has_the_same_weight_alone_and_in_a_batch() -> None:
    calm, wild = moving(seed=1), 4 * moving(seed=2) ** 3
    both = latent_weight(torch.cat([calm, wild]), PLAIN, 6)
    assert torch.equal(both[:1], latent_weight(calm, PLAIN, 6))
    assert torch.equal(both[1:], latent_weight(wild, PLAIN, 6))


def test_half_precision_latents_as_they_are_cached_will_do() -> None:
    latents = moving()
    half = latent_weight(latents.bfloat16(), PLAIN, 6)
    assert half.dtype == torch.float32
    assert ((half > 0.5) == (latent_weight(latents, PLAIN, 6) > 0.5)).float().mean() > 0.98


def test_latents_of_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="each block of 17 is coded anew"):
        latent_weight(moving(7), FAMILIES["minimax-h3"], 22)


@pytest.mark.parametrize("name", [name for name in FAMILIES if not FAMILIES[name].block_frames])
def test_latents_out_of_the_loss_weigh_nothing_and_set_no_unit(name: str) -> None:
    geometry = FAMILIES[name]
    frames = 1 + 5 * geometry.temporal_stride
    valid = valid_mask(geometry, frames).flatten()
    settings = LatentSettings(floor=0)
    latents = moving(len(valid))
    weight = latent_weight(latents, geometry, frames, settings)
    assert weight.shape == (1, 1, len(valid), 12, 16)
    assert (weight[:, :, ~valid] == 0).all()
    assert (weight[:, :, valid] > 0.5).flatten(3).any(-1).all()
    if geometry.conditioned_first:
        # However far the clean first latent is from the next, the others stay as they are.
        shaken = latents.clone()
        shaken[:, :, 0, 0, 0] += 3
        changed = latent_weight(shaken, geometry, frames, settings)
        assert ((changed > 0.5) == (weight > 0.5)).float().mean() > 0.99


def test_a_first_latent_coded_on_its_own_is_not_taken_for_motion() -> None:
    geometry, frames = FAMILIES["wan"], 21
    latents = moving(1).repeat(1, 1, 6, 1, 1)
    latents[:, :, 0] += 0.5  # as if coded otherwise
    assert latent_weight(latents, geometry, frames).max() < 0.01
    assert latent_weight(latents, PLAIN, 6)[:, :, 0].max() > 0.5


def test_copies_in_front_have_the_weight_of_the_first() -> None:
    geometry = FAMILIES["cogvideox-1.5"]
    assert geometry.padding(81) == 1
    latents = moving(21)
    padded = torch.cat([latents[:, :, :1], latents], dim=2)
    weight = latent_weight(padded, geometry, 81)[0, 0, :, :, :]
    # 22 latents, of which the second is the clip's first.
    assert weight.shape[0] == 22
    assert torch.equal(weight[0], weight[1])
    assert (weight[0] > 0.5).any()
    still = moving(1).repeat(1, 1, 22, 1, 1)
    still[:, :, :2] += 0.5  # the copy and the first, as if coded otherwise
    assert latent_weight(still, geometry, 81).max() < 0.01


def test_a_given_first_latent_sets_no_unit_even_if_it_is_coded_like_the_others() -> None:
    geometry = LatentGeometry(spatial_stride=8, temporal_stride=1, conditioned_first=True)
    latents = moving()
    latents[:, :, 0, 0, 0] = 12.0  # farther from the next than anything that moves
    weight = latent_weight(latents, geometry, 6, LatentSettings(floor=0))
    assert (weight[:, :, 0] == 0).all()
    for frame in range(1, 6):
        assert (weight[0, 0, frame] > 0.5).any()


def test_two_latents_are_enough_and_one_is_cold() -> None:
    assert (latent_weight(moving(2), FAMILIES["wan"], 5) > 0.5).any()
    one = latent_weight(moving(1), FAMILIES["wan"], 1)
    assert one.shape == (1, 1, 1, 12, 16)
    assert one.max() < 1e-6


def test_weights_grow_with_the_difference_and_are_half_at_the_threshold() -> None:
    latents = torch.zeros(1, 1, 2, 1, 5)
    latents[0, 0, 1, 0] = torch.tensor([0.0, 1.0, 2.0, 3.0, 5.0])
    weight = latent_weight(latents, PLAIN, 2, LatentSettings(threshold=0.4, slope=5, floor=0))
    assert (weight[0, 0, 0, 0].diff() > 0).all()
    assert float(weight[0, 0, 0, 0, 2]) == pytest.approx(0.5, abs=1e-4)
    steep = latent_weight(latents, PLAIN, 2, LatentSettings("percentile", percentile=50, floor=0))
    assert (steep[0, 0, 0, 0] > 0.5).tolist() == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("latents", "frames", "message"),
    [
        (torch.zeros(1, 4, 5, 2, 2), 21, r"latents should be \(B, C, 6, h, w\) for 21 frames, got"),
        (torch.zeros(4, 6, 2, 2), 21, r"got \(4, 6, 2, 2\)"),
        (torch.full((1, 4, 6, 2, 2), torch.nan), 21, "latents should be finite"),
        (torch.zeros(1, 4, 6, 2, 2), 22, r"frames should be 1 \+ a multiple of 4"),
    ],
)
def test_latents_of_another_kind_are_refused(
    latents: torch.Tensor, frames: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        latent_weight(latents, FAMILIES["wan"], frames)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "pixels"}, "unit should be one of .*'maximum'.*got 'pixels'"),
        ({"threshold": 0}, "threshold should be positive, got 0"),
        ({"slope": float("inf")}, "slope should be positive, got inf"),
        ({"floor": -1}, "floor should be at least 0, got -1"),
        ({"percentile": 101}, r"percentile should be in \[0, 100\], got 101"),
    ],
)
def test_impossible_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LatentSettings(**options)


def test_settings_go_into_json_and_back() -> None:
    settings = LatentSettings("percentile", percentile=90)
    assert LatentSettings(**json.loads(json.dumps(asdict(settings)))) == settings


def area_under_curve(score: np.ndarray, truth: np.ndarray) -> float:
    """How often a hot latent has a higher score than a cold one."""
    hot, cold = score[truth], score[~truth]
    return float((hot[:, None] > cold).mean() + 0.5 * (hot[:, None] == cold).mean())


def test_in_the_drawn_world_the_weight_is_high_where_things_move() -> None:
    vae = load_vae(BUNDLED)
    geometry = geometry_of(vae)
    areas, overlaps = [], []
    for scenario, seed in (("balloons", 0), ("car", 1), ("duck", 2), ("golf", 3)):
        stage = make_stage(scenario, "eval", seed)
        clip = render(stage, stage.actions[0], size=64)
        latents = encode(vae, to_tensor(clip.frames)[None], 16)
        gentle = LatentSettings(slope=5, floor=0)  # keeps the order of differences
        score = latent_weight(latents, geometry, 16, gentle)[:, :, :-1].numpy()
        mask = torch.from_numpy(clip.mask.astype(np.float32))
        true = pool(mask, geometry)[:, :, :-1].numpy() > 0.5
        areas.append(area_under_curve(score.ravel(), true.ravel()))
        hot = latent_weight(latents, geometry, 16)[:, :, :-1].numpy() > 0.5
        overlaps.append((hot & true).sum() / (hot | true).sum())
    print(areas, overlaps)
    assert np.mean(areas) > 0.85
    assert np.mean(overlaps) > 0.2
