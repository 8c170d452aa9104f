"""One optimiser step of every latent family with MotiF, on its own network, layout and loss.

Letters: B batch, F' latent frames, h w latents. Which latent lies where in a prediction is written
out here by hand, not taken from `to_layout`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from plain_losses import without_first
from tiny_transformers import STEPS, Step
from torch import Tensor, nn

from motifocal.loss.focal import MotionFocalLoss, motion_focal_loss
from motifocal.loss.latent_grid import FAMILIES, pool, to_layout, valid_mask

FRAMES_BEFORE_CHANNELS = ("svd", "cogvideox", "cogvideox-1.5")
TOKENS = ("ltx", "ltx-2")
#: A frame, and the latent it belongs to: one of the third latent's, the last in the clip.
FRAME_TO_LATENT = {
    "sd": (2, 2), "svd": (2, 2), "wan": (6, 2), "wan (2.2-A14B)": (8, 2), "wan-5b": (5, 2),
    "cogvideox": (7, 2), "cogvideox-1.5": (7, 3), "ltx": (12, 2), "ltx-2": (9, 2),
    "hunyuan": (5, 2), "hunyuan (latent_concat)": (6, 2), "hunyuan-1.5": (8, 2),
}  # fmt: skip
#: Families whose trainers take one mse_loss, without weights or masks.
ONE_MSE_LOSS = (
    "sd", "wan", "wan (2.2-A14B)", "wan-5b", "hunyuan", "hunyuan (latent_concat)", "hunyuan-1.5",
)  # fmt: skip
CLEAN_FIRST_LATENT = ("wan-5b", "ltx", "ltx-2", "hunyuan")

#: No published trainer of these was read: their grid is tested, and not a step of training.
GRID_ALONE = {
    "minimax-h3", "kandinsky-5", "kandinsky-6", "cosmos-2.5", "cosmos-3", "sana-video",
    "motif-video", "skyreels-v1", "skyreels-v2-df", "framepack", "helios",
}  # fmt: skip

every_family = pytest.mark.parametrize("family", STEPS)


@cache
def step_of(family: str, batch: int = 2) -> Step:
    return STEPS[family](batch)


def predict(step: Step) -> Tensor:
    """The same every time, dropout included: networks train here."""
    torch.manual_seed(0)
    return step.predict()


def random_map(step: Step) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(len(step.target), step.frames, step.height, step.width, generator=generator)


def motif(step: Step, prediction: Tensor, heatmap: Tensor, weight: float) -> MotionFocalLoss:
    """As a trainer calls it: heatmap (B, F, H, W) -> weights -> the model's layout -> loss."""
    weights = pool(heatmap, step.geometry)
    valid = None
    if step.geometry.conditioned_first:
        mask = valid_mask(step.geometry, step.frames).expand_as(weights)
        valid = to_layout(mask, step.geometry)
    return motion_focal_loss(
        prediction, step.target, to_layout(weights, step.geometry), weight=weight, valid=valid,
        timestep_weight=step.timestep_weight,
    )  # fmt: skip


def at(family: str, step: Step, latent: int, row: int, column: int) -> Any:
    """Where latent (k, i, j) lies in the model's own prediction."""
    everything = slice(None)
    if family in TOKENS:
        stride = step.geometry.spatial_stride
        height, width = step.height // stride, step.width // stride
        return everything, (latent * height + row) * width + column
    if family in FRAMES_BEFORE_CHANNELS:
        return everything, latent, everything, row, column
    return everything, everything, latent, row, column


def first_latent(family: str, step: Step) -> Tensor:
    """Bool, of the prediction's shape, True at the latent that enters clean."""
    where = torch.zeros_like(step.target, dtype=torch.bool)
    if family in CLEAN_FIRST_LATENT:
        rows, columns = (side // step.geometry.spatial_stride for side in (step.height, step.width))
        for row in range(rows):
            for column in range(columns):
                where[at(family, step, 0, row, column)] = True
    return where


def gradients(loss: Tensor, model: nn.Module) -> list[Tensor | None]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    return list(torch.autograd.grad(loss, parameters, allow_unused=True))


def same(some: list[Tensor | None], others: list[Tensor | None]) -> bool:
    """Bit for bit, and not for want of gradients."""
    assert sum(g is not None and bool(g.any()) for g in some) > len(some) / 2
    return all(
        a is b is None or (a is not None and b is not None and torch.equal(a, b))
        for a, b in zip(some, others, strict=True)
    )


def test_every_family_of_the_table_takes_a_step() -> None:
    # MiniMax-H3's network takes packed rows of text, keyframes, sound and video: not tried.
    assert {name.split(" ")[0] for name in STEPS} == set(FAMILIES) - GRID_ALONE
    assert set(FRAME_TO_LATENT) == set(STEPS)


@every_family
def test_lambda_0_is_the_mean_over_the_latents_in_the_loss_bit_for_bit(family: str) -> None:
    step = step_of(family)
    prediction = predict(step)
    error, inner = (prediction - step.target) ** 2, tuple(range(1, prediction.ndim))
    if family in CLEAN_FIRST_LATENT:
        counted = ~first_latent(family, step)
        plain = torch.where(counted, error, 0.0).sum(inner) / counted.sum(inner)
    else:
        plain = error.mean(inner)
    plain = (plain if step.timestep_weight is None else plain * step.timestep_weight).mean()
    ours = motif(step, predict(step), random_map(step), 0.0).total.mean()
    assert torch.equal(ours, plain)
    assert same(gradients(ours, step.model), gradients(plain, step.model))


@every_family
def test_lambda_0_is_what_the_familys_own_trainers_compute(family: str) -> None:
    """To rounding: some divide by a mask's mean or multiply by a weight before the mean."""
    step = step_of(family)
    plain = step.plain(predict(step), step.target)
    ours = motif(step, predict(step), random_map(step), 0.0).total.mean()
    torch.testing.assert_close(ours, plain, rtol=1e-6, atol=0.0)
    mine, theirs = gradients(ours, step.model), gradients(plain, step.model)
    rounding = 1e-6 * max(float(g.abs().max()) for g in theirs if g is not None)
    for a, b in zip(mine, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=rounding)


@pytest.mark.parametrize("family", ONE_MSE_LOSS)
def test_at_a_batch_of_one_the_trainers_own_mse_loss_is_met_bit_for_bit(family: str) -> None:
    """Trainers that cut the first latent off before the loss cut it off the weights too."""
    step = step_of(family, 1)
    cut = 1 if step.plain is without_first else 0
    weights = pool(random_map(step), step.geometry)[:, :, cut:]
    prediction, target = predict(step), step.target[:, :, cut:]
    ours = motion_focal_loss(prediction[:, :, cut:], target, weights, weight=0.0).total.mean()
    plain = step.plain(predict(step), step.target)
    assert torch.equal(ours, plain)
    assert same(gradients(ours, step.model), gradients(plain, step.model))


@every_family
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_clean_first_latent_gets_exactly_no_gradient_and_the_rest_gets_some(
    family: str, weight: float
) -> None:
    step = step_of(family)
    prediction = predict(step).detach().requires_grad_()
    loss = motif(step, prediction, random_map(step), weight).total.mean()
    (gradient,) = torch.autograd.grad(loss, prediction)
    out = first_latent(family, step)
    assert gradient[out].eq(0).all()
    assert gradient[~out].ne(0).float().mean() > 0.99


@pytest.mark.parametrize("family", CLEAN_FIRST_LATENT)
@pytest.mark.parametrize("junk", [float("nan"), float("inf"), 1e30])
def test_what_is_predicted_or_hot_at_a_clean_latent_changes_nothing(
    family: str, junk: float
) -> None:
    step = step_of(family)
    out = first_latent(family, step)
    heatmap = random_map(step)
    cold = heatmap.clone()
    cold[:, 0] = 0
    prediction = predict(step).detach()
    clean = prediction.clone().requires_grad_()
    spoilt = torch.where(out, junk, prediction).requires_grad_()
    losses = [motif(step, clean, heatmap, 1.0), motif(step, spoilt, cold, 1.0)]
    for one, other in zip(*losses, strict=True):
        assert torch.equal(one, other)
    first, second = (
        torch.autograd.grad(loss.total.mean(), x)[0]
        for loss, x in zip(losses, (clean, spoilt), strict=True)
    )
    assert torch.equal(first, second)


def hot_square(step: Step, frame: int, row: int) -> Tensor:
    """Zero but for a square of one latent in `frame`: in latent row `row`, half in column 0 and
    half in column 1."""
    stride = step.geometry.spatial_stride
    heatmap = torch.zeros(len(step.target), step.frames, step.height, step.width)
    top, left = row * stride, stride // 2
    heatmap[:, frame, top : top + stride, left : left + stride] = 1
    return heatmap


@every_family
def test_a_hot_square_weighs_its_own_latents_and_no_others(family: str) -> None:
    step = step_of(family)
    frame, latent = FRAME_TO_LATENT[family]
    weights = to_layout(pool(hot_square(step, frame, 1), step.geometry), step.geometry)
    weights = weights.expand_as(step.target)
    expected = torch.zeros_like(step.target)
    expected[at(family, step, latent, 1, 0)] = 0.5
    expected[at(family, step, latent, 1, 1)] = 0.5
    assert torch.equal(weights, expected)


@every_family
def test_a_hot_square_raises_the_gradient_there_and_nowhere_else(family: str) -> None:
    step = step_of(family)
    frame, latent = FRAME_TO_LATENT[family]
    prediction = predict(step).detach().requires_grad_()
    plain, weighted = (
        torch.autograd.grad(
            motif(step, prediction, hot_square(step, frame, 1), weight).total.mean(), prediction
        )[0]
        for weight in (0.0, 1.0)
    )
    hot = torch.zeros_like(prediction, dtype=torch.bool)
    for column in (0, 1):
        hot[at(family, step, latent, 1, column)] = True
    assert torch.equal(weighted[~hot], plain[~hot])
    # lambda 1, and the weight 1/2 lies inside the square: one and a quarter times the gradient.
    torch.testing.assert_close(weighted[hot], 1.25 * plain[hot])


def test_a_hot_first_frame_weighs_the_padding_of_cogvideox_15_too() -> None:
    step = step_of("cogvideox-1.5")
    weights = to_layout(pool(hot_square(step, 0, 1), step.geometry), step.geometry)
    assert weights.shape[1] == 4
    assert torch.equal(weights[:, 0], weights[:, 1])
    assert weights[:, 0].any()
    assert not weights[:, 2:].any()


@every_family
def test_a_step_of_the_optimiser_moves_the_weights_and_lowers_the_loss(family: str) -> None:
    step = STEPS[family](2)
    optimiser = torch.optim.AdamW(step.model.parameters(), lr=1e-4)
    before = [parameter.detach().clone() for parameter in step.model.parameters()]
    loss = motif(step, predict(step), random_map(step), 1.0)
    assert all(part.isfinite().all() for part in loss)
    assert (loss.total > loss.diffusion).all()
    loss.total.mean().backward()
    optimiser.step()
    moved = [
        not torch.equal(parameter, old)
        for parameter, old in zip(step.model.parameters(), before, strict=True)
    ]
    assert sum(moved) > len(moved) / 2
    assert all(parameter.isfinite().all() for parameter in step.model.parameters())
    after = motif(step, predict(step), random_map(step), 1.0)
    assert after.total.mean() < loss.total.mean()
