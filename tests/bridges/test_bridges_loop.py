"""Weights and loss for any training loop: every layout, every family, nothing changed at zero."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motifocal.bridges.mask_video import heat_of, loss_mask, spread, write_mask
from motifocal.loss.focal import motion_focal_loss
from motifocal.loss.latent_grid import FAMILIES, LatentGeometry, pool, to_layout, valid_mask
from motifocal.loss.motion_loss import motion_loss, motion_weights
from motifocal.media.video import to_frames, to_tensor
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap
from motifocal.motion.heatmap_files import load_heatmap

B, C, F, H, W = 2, 6, 4, 3, 5  # of the latents
FAMILY = pytest.mark.parametrize("family", FAMILIES)


def moving(frames: int, height: int, width: int, step: int = 4) -> np.ndarray:
    """A bright textured square moves right on grey by ``step`` pixels a frame."""
    texture = np.random.default_rng(0).integers(150, 250, (16, 16, 1), dtype=np.uint8)
    clip = np.full((frames, height, width, 3), 90, np.uint8)
    for frame in range(frames):
        left = min(8 + step * frame, width - 16)
        clip[frame, 12:28, left : left + 16] = texture
    return clip


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def step(family: str, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Prediction and target in the family's layout, and weights (B, 1, F', h, w)."""
    layout = FAMILIES[family].layout
    prediction, target = (
        rearrange(drawn(seed + n, B, C, F, H, W), f"b c f h w -> {layout}") for n in (0, 1)
    )
    return prediction.contiguous(), target.contiguous(), drawn(seed + 2, B, 1, F, H, W).sigmoid()


def kept(tensor: Tensor, family: str) -> Tensor:
    """What published trainers keep of a prediction: the slice without the clean first latent."""
    if not FAMILIES[family].conditioned_first:
        return tensor
    if FAMILIES[family].layout == "b (f h w) c":
        return tensor[:, H * W :]
    return tensor[:, :, 1:] if FAMILIES[family].layout == "b c f h w" else tensor[:, 1:]


def test_families_of_each_kind_are_tried() -> None:
    assert {geometry.layout for geometry in FAMILIES.values()} == {
        "b c f h w", "b f c h w", "b (f h w) c", "b f h w c"}  # fmt: skip
    assert {geometry.conditioned_first for geometry in FAMILIES.values()} == {True, False}


@FAMILY
def test_weights_are_the_clips_heatmap_pooled_on_the_familys_grid(family: str) -> None:
    count = 22 if family == "minimax-h3" else 9
    frames = moving(count, 64, 64, step=1)
    weights = motion_weights(frames, family)
    assert torch.equal(weights, pool(torch.from_numpy(clip_heatmap(frames)), FAMILIES[family]))
    stride = FAMILIES[family].spatial_stride
    latents = FAMILIES[family].latent_frames(count)
    assert weights.shape == (1, 1, latents, 64 // stride, 64 // stride)
    assert float(weights.max()) > 0.2


def test_frames_may_come_from_the_tensor_that_the_autoencoder_gets() -> None:
    frames = moving(5, 32, 32)
    assert torch.equal(motion_weights(to_frames(to_tensor(frames)), "wan"),
                       motion_weights(frames, "wan"))  # fmt: skip


def test_settings_decide_the_weights() -> None:
    frames = moving(5, 32, 48)
    nothing = motion_weights(frames, "wan", HeatmapSettings(unit="pixels", threshold=1000.0))
    assert float(nothing.max()) < 1e-6 < float(motion_weights(frames, "wan").max())


@FAMILY
def test_lambda_zero_is_the_trainers_own_loss_bit_for_bit(family: str) -> None:
    prediction, target, weights = step(family)
    loss = motion_loss(prediction, target, weights, family, motif_weight=0.0)
    for sample in range(B):
        plain = functional.mse_loss(
            kept(prediction, family)[sample : sample + 1], kept(target, family)[sample : sample + 1]
        )
        assert loss.total[sample].item() == plain.item()
    assert torch.equal(loss.total, loss.diffusion)


@FAMILY
def test_the_motion_part_is_the_equation_over_what_is_kept(family: str) -> None:
    prediction, target, weights = step(family)
    loss = motion_loss(prediction, target, weights, family, motif_weight=2.0)
    start = 1 if FAMILIES[family].conditioned_first else 0
    back = f"{FAMILIES[family].layout} -> b c f h w"
    sizes = {"f": F, "h": H, "w": W}
    p, t = (rearrange(tensor, back, **sizes)[:, :, start:] for tensor in (prediction, target))
    motion = (weights[:, :, start:] * (t - p)).square().mean((1, 2, 3, 4))
    torch.testing.assert_close(loss.motion, motion)
    torch.testing.assert_close(loss.total, loss.diffusion + 2 * motion)


@FAMILY
def test_a_clean_latent_gets_no_gradient_whatever_is_there(family: str) -> None:
    prediction, target, weights = step(family)
    if FAMILIES[family].conditioned_first:
        rest = kept(prediction, family)
        places = torch.ones_like(prediction, dtype=torch.bool)
        kept(places, family)[...] = False
        prediction[places] = float("nan")
        assert rest.isfinite().all()
    prediction.requires_grad_()
    loss = motion_loss(prediction, target, weights, family)
    loss.total.mean().backward()
    gradient = prediction.grad
    assert gradient is not None
    assert kept(gradient, family).abs().min() > 0
    zeros = int((gradient == 0).sum())
    assert zeros == prediction.numel() - kept(prediction, family).numel()


def test_a_step_without_the_first_frame_counts_every_latent() -> None:
    prediction, target, weights = step("wan-5b")
    free = replace(FAMILIES["wan-5b"], conditioned_first=False)
    loss = motion_loss(prediction, target, weights, free, motif_weight=0)
    assert loss.total.mean().item() == functional.mse_loss(prediction, target).item()


@FAMILY
def test_bfloat16_is_squared_in_float32(family: str) -> None:
    prediction, target, weights = step(family)
    prediction = prediction.bfloat16().requires_grad_()
    loss = motion_loss(prediction, target, weights, family)
    wide = motion_loss(prediction.float(), target, weights, family)
    assert loss.total.dtype == torch.float32
    assert torch.equal(loss.total, wide.total)
    loss.total.mean().backward()
    assert prediction.grad is not None
    assert prediction.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(B,), (B, 1), (B, 1, 1, 1, 1)])
def test_a_timestep_weight_of_any_rank_multiplies_each_samples_loss(shape: tuple[int, ...]) -> None:
    prediction, target, weights = step("svd")
    sigma = torch.tensor([0.5, 3.0])
    by_time = (1 + sigma**2) / sigma**2
    plain = motion_loss(prediction, target, weights, "svd")
    loss = motion_loss(prediction, target, weights, "svd", timestep_weight=by_time.reshape(shape))
    for part, before in zip(loss, plain, strict=True):
        torch.testing.assert_close(part, before * by_time)


def test_cogvideox_may_be_trained_on_v_or_on_clean_latents_with_their_weight() -> None:
    v, target, weights = step("cogvideox")
    alpha = torch.tensor([0.2, 0.9]).view(-1, 1, 1, 1, 1)
    by_v = motion_loss(v, target, weights, "cogvideox")
    # x0 = sqrt(alpha) x_t - sqrt(1 - alpha) v, so its error is that of v times sqrt(1 - alpha).
    clean, wanted = (-(1 - alpha).sqrt() * tensor for tensor in (v, target))
    by_x0 = motion_loss(clean, wanted, weights, "cogvideox", timestep_weight=1 / (1 - alpha))
    for a, b in zip(by_v, by_x0, strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_add_up_over_micro_batches() -> None:
    prediction, target, weights = step("ltx")
    whole = prediction.clone().requires_grad_()
    motion_loss(whole, target, weights, "ltx").total.mean().backward()
    parts = prediction.clone().requires_grad_()
    for sample in range(B):
        one = slice(sample, sample + 1)
        loss = motion_loss(parts[one], target[one], weights[one], "ltx")
        (loss.total.mean() / B).backward()
    assert whole.grad is not None
    assert parts.grad is not None
    torch.testing.assert_close(parts.grad, whole.grad)


def test_it_is_the_librarys_loss_with_the_librarys_mask() -> None:
    for family, geometry in FAMILIES.items():
        prediction, target, weights = step(family)
        if geometry.block_frames:
            continue  # no clip has F latents, and all of them count
        frames = geometry.frames_of(F)
        valid = valid_mask(geometry, frames).expand(B, 1, F, H, W)
        expected = motion_focal_loss(prediction, target, to_layout(weights, geometry),
                                     valid=to_layout(valid, geometry))  # fmt: skip
        for a, b in zip(motion_loss(prediction, target, weights, family), expected, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("frames", "family", "nearest"), [
    (80, "wan", "77 or 81"), (24, "ltx", "17 or 25"), (8, "cogvideox-1.5", "5 or 9")])  # fmt: skip
def test_a_frame_count_is_refused_before_anything_is_measured(
    frames: int, family: str, nearest: str
) -> None:
    # So large that measuring would be noticed.
    clip = np.broadcast_to(np.uint8(0), (frames, 4096, 4096, 3))
    with pytest.raises(ValueError, match=nearest):
        motion_weights(clip, family)


def test_what_does_not_fit_is_refused_with_both_shapes() -> None:
    prediction, target, weights = step("wan")
    with pytest.raises(ValueError, match=r"laid out as 'b f c h w' .* got \(2, 6, 4, 3, 5\)"):
        motion_loss(prediction, target, weights, "cogvideox")
    with pytest.raises(ValueError, match="prediction should be laid out"):
        motion_loss(prediction, target, weights[:1], "wan")
    with pytest.raises(ValueError, match="prediction should be laid out"):
        motion_loss(prediction, target, weights[:, :, :3], "wan")
    with pytest.raises(ValueError, match=r"weights should be \(B, 1, F', h, w\)"):
        motion_loss(prediction, target, weights[:, 0], "wan")
    with pytest.raises(ValueError, match="target should be"):
        motion_loss(prediction, target[:1], weights, "wan-5b")
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        motion_loss(prediction, target, weights + 1, "wan")
    with pytest.raises(ValueError, match="family should be one of"):
        motion_loss(prediction, target, weights, "wan-6b")
    with pytest.raises(ValueError, match="multiples of 16, got 40x32"):
        motion_weights(moving(5, 40, 32), "wan-5b")
    with pytest.raises(ValueError, match="timestep_weight"):
        motion_loss(prediction, target, weights, "wan", timestep_weight=torch.ones(B, F))


@pytest.mark.parametrize("family", [name for name in FAMILIES if FAMILIES[name].conditioned_first])
def test_a_picture_whose_only_latent_is_conditioned_is_refused_not_nan(family: str) -> None:
    geometry = FAMILIES[family]
    weights = torch.zeros(2, 1, 1, 2, 2)
    prediction = to_layout(drawn(1, 2, 4, 1, 2, 2), geometry)
    with pytest.raises(ValueError, match="more than the conditioned first one, got 1"):
        motion_loss(prediction, prediction + 1, weights, family)
    counted = replace(geometry, conditioned_first=False)
    assert motion_loss(prediction, prediction + 1, weights, counted).total.tolist() == [1, 1]


@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from(sorted(FAMILIES)))
@settings(max_examples=25, deadline=None)
def test_a_spread_weight_pools_back_to_itself(height: int, width: int, family: str) -> None:
    geometry = FAMILIES[family]
    frames = geometry.frames_of(7 if geometry.block_frames else 3)
    shape = (1, 1, geometry.latent_frames(frames), height, width)
    weight = torch.rand(shape, generator=torch.Generator().manual_seed(height * 7 + width))
    weight[:, :, : geometry.padding(frames)] = weight[:, :, geometry.padding(frames)]
    wide = spread(weight, geometry, frames)
    assert wide.shape == (frames, height * geometry.spatial_stride, width * geometry.spatial_stride)
    torch.testing.assert_close(pool(torch.from_numpy(wide), geometry), weight)


def test_a_mean_of_mask_times_error_is_the_motion_focal_loss_over_one_plus_lambda() -> None:
    prediction, target, weights = step("wan")
    loss = motion_loss(prediction, target, weights, "wan", motif_weight=2.0)
    mask = torch.from_numpy(loss_mask(weights.numpy(), motif_weight=2.0))
    trainers = (mask * (prediction - target).square()).mean((1, 2, 3, 4))
    torch.testing.assert_close(trainers * 3, loss.total)


def test_a_mask_video_comes_back_to_within_its_grey_steps(tmp_path: Path) -> None:
    geometry = LatentGeometry(8, 4)
    weight = torch.rand(1, 1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    heat = spread(weight, geometry, 9)
    write_mask(tmp_path / "m.mp4", loss_mask(heat), 16)
    back, _ = load_heatmap(tmp_path / "m.mp4")
    assert np.abs(back - loss_mask(heat)).max() <= 0.006
    assert np.abs(heat_of(back)[heat > 0.3] - heat[heat > 0.3]).max() < 0.03
    with pytest.raises(ValueError, match="even sides"):
        write_mask(tmp_path / "m.mp4", heat[:, :5], 16)
    with pytest.raises(ValueError, match="above 0"):
        loss_mask(heat, 0)
