"""The motion focal loss: what it equals and what it weighs."""

from __future__ import annotations

import pytest
import torch
from loss_inputs import HEATMAP_SHAPE, SHAPE, heat, latents, mask
from torch import Tensor
from torch.nn import functional

from motifocal.loss.focal import MOST_GAIN, VARIANTS, motion_focal_loss


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lambda_zero_equals_the_plain_loss_bit_for_bit(variant: str, dtype: torch.dtype) -> None:
    prediction, target = latents(dtype=dtype)
    loss = motion_focal_loss(prediction, target, heat(), weight=0.0, variant=variant).total
    plain = functional.mse_loss(prediction.float(), target.float(), reduction="none")
    assert torch.equal(loss, plain.flatten(1).mean(1))
    for sample in range(SHAPE[0]):
        one = functional.mse_loss(prediction[sample].float(), target[sample].float())
        assert torch.equal(loss[sample], one)


def test_lambda_zero_has_the_gradient_of_the_plain_loss_bit_for_bit() -> None:
    prediction, target = latents()
    (ours,) = torch.autograd.grad(
        motion_focal_loss(prediction, target, heat(), weight=0.0).total.mean(), prediction
    )
    plain = functional.mse_loss(prediction, target, reduction="none").flatten(1).mean(1).mean()
    (theirs,) = torch.autograd.grad(plain, prediction)
    assert torch.equal(ours, theirs)


def test_lambda_zero_survives_a_motion_part_that_overflows() -> None:
    prediction, target = latents()
    prediction = prediction.detach() * 1e20
    loss = motion_focal_loss(prediction, target, heat(), weight=0.0)
    assert torch.equal(loss.total, loss.diffusion)
    assert loss.total.isinf().all()


def test_motion_part_is_the_papers_equation() -> None:
    prediction, target = latents()
    heatmap = heat()
    loss = motion_focal_loss(prediction, target, heatmap, weight=2.0)
    paper = (heatmap * (target - prediction)).square().flatten(1).mean(1)
    torch.testing.assert_close(loss.motion, paper)
    torch.testing.assert_close(loss.total, loss.diffusion + 2.0 * paper)


def test_heatmap_lies_inside_the_square() -> None:
    prediction, target = latents()
    half = torch.full(HEATMAP_SHAPE, 0.5)
    loss = motion_focal_loss(prediction, target, half)
    torch.testing.assert_close(loss.motion, 0.25 * loss.diffusion)


@pytest.mark.parametrize(
    ("layout", "channels"),
    [
        ((2, 4, 3, 5, 6), 1),
        ((2, 3, 4, 5, 6), 2),
        ((2, 30, 8), 2),
        ((2, 4, 5, 6), 1),
        ((2, 7), None),
    ],
)
def test_every_layout_gives_the_same_equation(
    layout: tuple[int, ...], channels: int | None
) -> None:
    prediction, target = latents(shape=layout)
    shape = tuple(1 if d == channels else n for d, n in enumerate(layout))
    heatmap = heat(shape=shape)
    loss = motion_focal_loss(prediction, target, heatmap)
    paper = (heatmap * (target - prediction)).square().flatten(1).mean(1)
    torch.testing.assert_close(loss.motion, paper)


def test_inverse_weighs_what_motif_leaves() -> None:
    prediction, target = latents()
    binary = heat().round()
    motif = motion_focal_loss(prediction, target, binary)
    inverse = motion_focal_loss(prediction, target, binary, variant="inverse")
    torch.testing.assert_close(motif.motion + inverse.motion, motif.diffusion)
    other = motion_focal_loss(prediction, target, 1 - binary, variant="motif")
    assert torch.equal(inverse.motion, other.motion)


def test_none_is_the_plain_loss_and_needs_no_heatmap() -> None:
    prediction, target = latents()
    loss = motion_focal_loss(prediction, target, None, variant="none")
    assert torch.equal(loss.total, loss.diffusion)
    assert not loss.motion.any()


def test_normalised_is_the_mean_error_of_the_hot_area() -> None:
    prediction, target = latents()
    binary = heat().round()
    loss = motion_focal_loss(prediction, target, binary, variant="normalised")
    error = (target - prediction).square()
    for sample in range(SHAPE[0]):
        hot = error[sample][binary[sample].expand(SHAPE[1:]).bool()].mean()
        torch.testing.assert_close(loss.motion[sample], hot)


def test_normalised_does_not_change_with_the_size_of_what_moves() -> None:
    shape = (1, 4, 2, 8, 8)
    small, large = torch.zeros(2, 1, 1, 2, 8, 8)
    small[..., :2, :2] = 1
    large[..., :4, :] = 1
    prediction, target = torch.zeros(shape), torch.ones(shape)
    for heatmap, share in ((small, 1 / 16), (large, 1 / 2)):
        normalised = motion_focal_loss(prediction, target, heatmap, variant="normalised").motion
        assert normalised.item() == 1.0
        assert motion_focal_loss(prediction, target, heatmap).motion.item() == share


def test_normalised_weighs_no_location_more_than_the_limit() -> None:
    one_of_64 = torch.zeros(1, 1, 2, 8, 8)
    one_of_64[..., 0, 0] = 1
    prediction, target = torch.zeros(1, 4, 2, 8, 8), torch.ones(1, 4, 2, 8, 8)
    motion = motion_focal_loss(prediction, target, one_of_64, variant="normalised").motion
    assert motion.item() == pytest.approx(MOST_GAIN / 64)
    prediction.requires_grad_()
    loss = motion_focal_loss(prediction, target, one_of_64, variant="normalised")
    loss.total.sum().backward()
    moving, static = prediction.grad[0, 0, 0, 0, 0], prediction.grad[0, 0, 0, 1, 1]
    assert (moving / static).item() == pytest.approx(1 + MOST_GAIN)


def test_normalised_is_zero_for_a_cold_map_and_so_is_its_gradient() -> None:
    prediction, target = latents()
    empty = torch.zeros(HEATMAP_SHAPE)
    loss = motion_focal_loss(prediction, target, empty, variant="normalised")
    assert not loss.motion.any()
    (gradient,) = torch.autograd.grad(loss.motion.sum(), prediction)
    assert not gradient.any()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("masked", [False, True])
def test_gradient_is_right_in_float64(variant: str, masked: bool) -> None:
    prediction, target = latents(shape=(2, 3, 2, 3, 2), dtype=torch.float64)
    heatmap = heat(shape=(2, 1, 2, 3, 2)).double()
    valid = mask(shape=(2, 1, 2, 3, 2)) if masked else None

    def loss(prediction: Tensor, target: Tensor) -> Tensor:
        return motion_focal_loss(
            prediction, target, heatmap, weight=1.5, valid=valid, variant=variant
        ).total

    assert loss(prediction, target).dtype == torch.float64
    assert torch.autograd.gradcheck(loss, (prediction, target.requires_grad_()))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30])
def test_gradient_of_a_location_out_of_the_loss_is_exactly_zero(
    variant: str, garbage: float
) -> None:
    values, target = latents()
    valid = mask()
    valid[:, :, 0] = False  # a conditioned first latent
    out = ~valid.expand(SHAPE)
    prediction = values.detach().masked_fill(out, garbage).requires_grad_()
    loss = motion_focal_loss(prediction, target, heat(), valid=valid, variant=variant)
    assert loss.total.isfinite().all()
    (gradient,) = torch.autograd.grad(loss.total.sum(), prediction)
    assert torch.equal(gradient[out], torch.zeros(int(out.sum())))
    assert gradient[~out].ne(0).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_mask_gives_the_loss_of_the_remaining_latents(variant: str) -> None:
    prediction, target = latents()
    heatmap = heat()
    valid = torch.ones(1, 1, SHAPE[2], 1, 1)
    valid[:, :, 0] = 0
    masked = motion_focal_loss(prediction, target, heatmap, valid=valid, variant=variant)
    cropped = motion_focal_loss(
        prediction[:, :, 1:], target[:, :, 1:], heatmap[:, :, 1:], variant=variant
    )
    torch.testing.assert_close(masked, cropped)


@pytest.mark.parametrize("shape", [(3, 1, 5, 6, 7), (1, 1, 5, 1, 1), (3, 4, 5, 6, 7)])
def test_a_mask_of_ones_changes_nothing(shape: tuple[int, ...]) -> None:
    prediction, target = latents()
    for variant in VARIANTS:
        plain = motion_focal_loss(prediction, target, heat(), variant=variant)
        masked = motion_focal_loss(
            prediction, target, heat(), valid=torch.ones(shape), variant=variant
        )
        torch.testing.assert_close(masked, plain)


def test_each_sample_is_averaged_over_its_own_valid_elements() -> None:
    prediction, target = torch.zeros(2, 4, 3, 2, 2), torch.full((2, 4, 3, 2, 2), 3.0)
    valid = torch.ones(2, 1, 3, 1, 1)
    valid[1, :, 1:] = 0
    loss = motion_focal_loss(prediction, target, torch.ones(2, 1, 3, 2, 2), valid=valid)
    assert loss.diffusion.tolist() == [9.0, 9.0]
    assert loss.motion.tolist() == [9.0, 9.0]


def test_samples_do_not_see_each_other() -> None:
    prediction, target = latents()
    whole = motion_focal_loss(prediction, target, heat())
    for sample in range(SHAPE[0]):
        one = slice(sample, sample + 1)
        alone = motion_focal_loss(prediction[one], target[one], heat()[one])
        torch.testing.assert_close(alone.total, whole.total[one])


def test_timestep_weight_multiplies_both_parts() -> None:
    prediction, target = latents()
    factor = torch.tensor([0.0, 1.0, 5.0])
    plain = motion_focal_loss(prediction, target, heat(), weight=2.0)
    weighted = motion_focal_loss(prediction, target, heat(), weight=2.0, timestep_weight=factor)
    for ours, theirs in zip(weighted, plain, strict=True):
        torch.testing.assert_close(ours, theirs * factor)


@pytest.mark.parametrize("variant", VARIANTS)
def test_bfloat16_errors_are_summed_in_float32(variant: str) -> None:
    shape = (1, 4, 16, 64, 64)  # 262 144 terms: a bfloat16 sum would stop growing at 256
    prediction, target = latents(shape=shape, dtype=torch.bfloat16)
    heatmap = heat(shape=(1, 1, 16, 64, 64))
    low = motion_focal_loss(prediction, target, heatmap, variant=variant)
    high = motion_focal_loss(prediction.double(), target.double(), heatmap, variant=variant)
    assert {part.dtype for part in low} == {torch.float32}
    for ours, exact in zip(low, high, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=0)
    low.total.sum().backward()
    assert prediction.grad is not None
    assert prediction.grad.dtype == torch.bfloat16


def test_no_random_number_is_drawn() -> None:
    prediction, target = latents()
    before = torch.get_rng_state()
    motion_focal_loss(prediction, target, heat(), valid=mask())
    assert torch.equal(torch.get_rng_state(), before)
