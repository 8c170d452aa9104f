"""Losses of other papers equal direct transcriptions of their code and formulas."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import tiny
import torch
from torch import Tensor
from torch.nn import functional as F

from motifocal.data.shards import Shards
from motifocal.loss.focal import VARIANTS, motion_focal_loss
from motifocal.loss.latent_grid import FAMILIES, to_layout
from motifocal.loss.motion_loss import motion_loss
from motifocal.loss.neighbours import NEIGHBOURS
from motifocal.models.schedule import noise_schedule
from motifocal.training.loop import train
from motifocal.training.presets import TrainingSettings

B, C, FRAMES, H, W = 2, 4, 6, 5, 3


def noise(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape or (B, C, FRAMES, H, W), generator=generator, dtype=torch.float64)


PREDICTION, TARGET, LATENTS = noise(1), noise(2), noise(3)


def total(variant: str, weight: float = 1.0, **given: Tensor) -> Tensor:
    return motion_focal_loss(PREDICTION, TARGET, None, weight=weight, variant=variant,
                             **given).total


def videox_fun(noise_pred: Tensor, target: Tensor, ratio: float = 0.25) -> Tensor:
    """What its training scripts do with --motion_sub_loss, one sample."""
    loss = F.mse_loss(noise_pred, target)
    predicted = noise_pred[:, :, 1:] - noise_pred[:, :, :-1]
    true = target[:, :, 1:] - target[:, :, :-1]
    return loss * (1 - ratio) + F.mse_loss(predicted, true) * ratio


def vista(predict: Tensor, target: Tensor, corrected: bool) -> Tensor:
    """The dynamics-aware weights of its loss, one sample as (T, C, h, w), in loops and by names."""
    frames = predict.shape[0]
    change = torch.stack([((target[t] - target[t - 1]) - (predict[t] - predict[t - 1])) ** 2
                          for t in range(1, frames)])
    weight = torch.zeros_like(change)
    for channel in range(predict.shape[1]):
        flat = change[:, channel].reshape(-1)
        length = flat.norm(p=2)
        weight[:, channel] = change[:, channel] / (
            length / flat.numel() ** 0.5 if corrected else length)
    weight = 1 + torch.cat([torch.zeros_like(weight[:1]), weight])
    return ((predict - target) ** 2 * weight.detach()).mean()


def resim(denoised: Tensor, clean: Tensor, diffusion: Tensor) -> Tensor:
    """Its formula with sums over intervals j and frames i, one sample as (N, C, h, w)."""
    count, sums = denoised.shape[0], torch.zeros((), dtype=torch.float64)
    for j in range(1, 5):
        motions = [clean[i + j] - clean[i] for i in range(count - j)]
        scale = torch.stack(motions).abs().mean()
        for i in range(count - j):
            gap = (denoised[i + j] - denoised[i]) - motions[i]
            sums = sums + (gap**2).sum() / scale
    return diffusion + 0.1 * sums / denoised.numel()


def lamo(denoised: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """Its motion drift loss (lambda 0.4, tau 2) by loops, one sample as (T, C, h, w)."""
    channels, ratios = range(clean.shape[1]), []
    for t in range(clean.shape[0] - 2):
        moved, true = ([float((z[t + 2, c] - z[t, c]).mean()) for c in channels]
                       for z in (denoised, clean))
        gap = sum((a - b) ** 2 for a, b in zip(moved, true, strict=True))
        ratios.append(gap / max(sum(b**2 for b in true), 1e-8))
    return 0.4 * (1 - sigma**2) * sum(ratios) / len(ratios)


def ltd(predict: Tensor, target: Tensor, clean: Tensor) -> Tensor:
    """Our reading of its abstract, voxel by voxel, one sample as (T, C, h, w)."""
    frames, channels, height, width = clean.shape
    weight = torch.ones_like(clean[:, :1])
    for t, y, x in itertools.product(range(1, frames), range(height), range(width)):
        change = (clean[t, :, y, x] - clean[t - 1, :, y, x]).norm() / channels**0.5
        weight[t, 0, y, x] = 1 + math.log(1 + float(change))
    return (weight * (predict - target) ** 2).mean()


def test_the_difference_of_frames_is_that_of_videox_fun() -> None:
    expected = torch.stack([videox_fun(PREDICTION[b : b + 1], TARGET[b : b + 1])
                            for b in range(B)])
    assert torch.allclose(total("difference"), expected, rtol=1e-12)


@pytest.mark.parametrize(("variant", "corrected"), [("dynamics", False), ("dynamics-rms", True)])
def test_dynamics_enhancement_is_that_of_vista(variant: str, corrected: bool) -> None:
    pairs = ((PREDICTION[b].transpose(0, 1), TARGET[b].transpose(0, 1)) for b in range(B))
    expected = torch.stack([vista(*pair, corrected) for pair in pairs])
    assert torch.allclose(total(variant), expected, rtol=1e-12)


def test_dynamics_consistency_is_that_of_resim_in_clean_latents() -> None:
    sigma = torch.tensor([0.7, 0.2], dtype=torch.float64)
    # Of a flow or v-prediction: clean = noisy * ... - sigma * prediction.
    denoised = LATENTS - sigma[:, None, None, None, None] * (PREDICTION - TARGET)
    plain = motion_focal_loss(PREDICTION, TARGET, None, weight=0, variant="none").total
    expected = torch.stack([resim(denoised[b].transpose(0, 1), LATENTS[b].transpose(0, 1),
                                  plain[b]) for b in range(B)])
    got = total("consistency", latents=LATENTS, clean=sigma)
    assert torch.allclose(got, expected, rtol=1e-12)


def test_the_motion_drift_is_that_of_lamo_in_clean_latents() -> None:
    sigma = torch.tensor([0.7, 0.2], dtype=torch.float64)
    denoised = LATENTS - sigma[:, None, None, None, None] * (PREDICTION - TARGET)
    expected = torch.stack([lamo(denoised[b].transpose(0, 1), LATENTS[b].transpose(0, 1), sigma[b])
                            for b in range(B)])
    loss = motion_focal_loss(PREDICTION, TARGET, None, variant="drift", latents=LATENTS,
                             clean=sigma, noise_level=sigma)
    assert torch.allclose(loss.motion, expected, rtol=1e-12)
    noise_alone = motion_focal_loss(PREDICTION, TARGET, None, variant="drift", latents=LATENTS,
                                    clean=sigma, noise_level=torch.ones(B))
    assert torch.equal(noise_alone.total, noise_alone.diffusion)


def test_the_latent_discrepancy_weighs_each_voxel_by_how_far_it_is_from_the_frame_before() -> None:
    expected = torch.stack([ltd(*(x[b].transpose(0, 1) for x in (PREDICTION, TARGET, LATENTS)))
                            for b in range(B)])
    assert torch.allclose(total("discrepancy", latents=LATENTS), expected, rtol=1e-12)
    still = LATENTS[:, :, :1].expand_as(LATENTS)
    plain = motion_focal_loss(PREDICTION, TARGET, None, variant="none")
    assert torch.equal(total("discrepancy", latents=still), plain.total)


def test_what_the_published_weights_add_vanishes_with_size_and_the_corrected_do_not() -> None:
    """Vista's own clips: 25 frames of 72 x 128 latents, 221 184 positions behind the first."""
    prediction, target = noise(4, 1, 1, 25, 72, 128), noise(5, 1, 1, 25, 72, 128)
    added = {}
    for variant in ("dynamics", "dynamics-rms"):
        loss = motion_focal_loss(prediction, target, None, variant=variant)
        added[variant] = float(loss.motion / loss.diffusion)
    assert 0.001 < added["dynamics"] < 0.003
    assert 0.5 < added["dynamics-rms"] < 2


@pytest.mark.parametrize("variant", NEIGHBOURS)
def test_weight_zero_is_the_plain_loss_bit_for_bit(variant: str) -> None:
    plain = F.mse_loss(PREDICTION, TARGET, reduction="none").mean((1, 2, 3, 4))
    assert torch.equal(total(variant, 0.0, latents=LATENTS), plain)


@pytest.mark.parametrize("variant", NEIGHBOURS)
def test_a_constant_error_has_no_dynamics_and_a_change_has(variant: str) -> None:
    constant = TARGET + noise(6, B, C, 1, H, W)
    still = motion_focal_loss(constant, TARGET, None, variant=variant, latents=LATENTS)
    expected = {"difference": -0.25 * still.diffusion, "discrepancy": still.motion}.get(
        variant, 0 * still.diffusion)  # the discrepancy looks at the latents, not at the error
    assert torch.allclose(still.motion, expected, atol=1e-12)
    moving = motion_focal_loss(PREDICTION, TARGET, None, variant=variant, latents=LATENTS)
    assert (moving.motion > 0).all()


@pytest.mark.parametrize("variant", NEIGHBOURS)
@pytest.mark.parametrize("family", ["wan", "cogvideox", "ltx", "wan-5b"])
def test_every_layout_gives_the_same_loss(variant: str, family: str) -> None:
    geometry = FAMILIES[family]
    weights = torch.zeros(B, 1, FRAMES, H, W)
    laid_out = [to_layout(tensor.float(), geometry) for tensor in (PREDICTION, TARGET)]
    got = motion_loss(*laid_out, weights, geometry, variant=variant, latents=LATENTS.float())
    kept = slice(1, None) if geometry.conditioned_first else slice(None)
    expected = motion_focal_loss(PREDICTION[:, :, kept].float(), TARGET[:, :, kept].float(), None,
                                 variant=variant, latents=LATENTS[:, :, kept].float())
    assert torch.allclose(got.total, expected.total, rtol=1e-5)
    assert torch.allclose(got.diffusion, expected.diffusion, rtol=1e-5)


def test_a_timestep_weight_multiplies_both_parts() -> None:
    factor = torch.tensor([2.0, 0.5], dtype=torch.float64)
    plain = motion_focal_loss(PREDICTION, TARGET, None, variant="dynamics")
    weighted = motion_focal_loss(PREDICTION, TARGET, None, variant="dynamics",
                                 timestep_weight=factor)
    assert torch.equal(weighted.total, plain.total * factor)


@pytest.mark.parametrize("variant", NEIGHBOURS)
def test_a_clip_of_one_latent_has_the_plain_loss(variant: str) -> None:
    one = [tensor[:, :, :1] for tensor in (PREDICTION, TARGET, LATENTS)]
    loss = motion_focal_loss(one[0], one[1], None, variant=variant, latents=one[2])
    assert torch.equal(loss.total, loss.diffusion)


def test_wrong_arguments_are_named() -> None:
    for variant in ("consistency", "drift", "discrepancy"):
        with pytest.raises(ValueError, match=f'clean latents for the variant "{variant}"'):
            total(variant)
    with pytest.raises(ValueError, match=re.escape("noise_level should be (2,), got (3,)")):
        total("drift", latents=LATENTS, noise_level=torch.zeros(3))
    with pytest.raises(ValueError, match=r"noise_level should be within 0 and 1, got 0\.5 to 999"):
        total("drift", latents=LATENTS, noise_level=torch.tensor([0.5, 999]))
    with pytest.raises(ValueError, match=re.escape("latents should be (2, 4, 6, 5, 3), got (2, 4, "
                                                   "5, 5, 3)")):
        total("consistency", latents=LATENTS[:, :, 1:])
    with pytest.raises(ValueError, match="valid should be None"):
        motion_focal_loss(PREDICTION, TARGET, None, variant="dynamics",
                          valid=torch.ones(1, 1, FRAMES, 1, 1))
    with pytest.raises(ValueError, match="prediction should be"):
        motion_focal_loss(PREDICTION.flatten(2), TARGET.flatten(2), None, variant="dynamics")
    with pytest.raises(ValueError, match=r"variant should be one of .*'dynamics-rms'"):
        total("dynamic")


@pytest.mark.parametrize("prediction_type", ["v_prediction", "epsilon"])
def test_the_schedule_says_how_much_an_error_is_one_of_the_clean_latents(
    prediction_type: str,
) -> None:
    schedule = noise_schedule(prediction_type)  # type: ignore[arg-type]
    t = torch.tensor([10, 700])
    noisy, prediction = noise(7).float(), noise(8).float()
    error = noise(9).float()
    moved = (schedule.x0_from(prediction + error, noisy, t)
             - schedule.x0_from(prediction, noisy, t))
    factor = schedule.clean_error(t)[:, None, None, None, None]
    assert torch.allclose(moved.abs(), factor * error.abs(), rtol=1e-2, atol=1e-4)


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Shards]:
    folder = tmp_path_factory.mktemp("materials")
    return tiny.tiny_base(folder / "base"), tiny.tiny_shards(folder / "shards")


def after_two_steps(folder: Path, materials: tuple[Path, Shards], **changed: object) -> Tensor:
    run = tiny.tiny_run(folder, *materials, steps=2, optimizer="adamw", **changed)
    lines = list(train(run))
    assert len(lines) == 2
    assert all(math.isfinite(line["loss"]) for line in lines)
    return torch.cat([value.flatten() for value in tiny.weights(run).values()])


@pytest.mark.slow
def test_two_steps_of_training_run_with_every_variant_and_differ(
    materials: tuple[Path, Shards], tmp_path: Path
) -> None:
    plain = after_two_steps(tmp_path / "plain", materials, motif_weight=0)
    trained = {variant: after_two_steps(tmp_path / variant, materials, motif_variant=variant)
               for variant in NEIGHBOURS}
    for variant, weights in trained.items():
        assert not torch.equal(weights, plain), variant
    assert len({float(weights.double().sum()) for weights in trained.values()}) == len(trained)


def test_the_settings_and_the_page_know_every_variant() -> None:
    known = get_args(get_type_hints(TrainingSettings)["motif_variant"])
    assert set(known) == set(VARIANTS) | set(NEIGHBOURS)
    page = (Path(__file__).parents[2] / "docs" / "losses.md").read_text(encoding="utf-8")
    assert all(f"`{variant}`" in page for variant in known)
