"""The loss of the LTX-2 trainer's strategies with the motion part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from ltx_strategies import (
    C,
    F,
    Flexible,
    FlexibleWithReference,
    H,
    ModelInputs,
    TextToVideo,
    W,
    tokens,
)
from torch import Tensor

from motifocal.bridges import ltx
from motifocal.bridges.ltx_weights import BATCH_KEY
from motifocal.loss.focal import motion_focal_loss

STRATEGIES = pytest.mark.parametrize("strategy", [Flexible, FlexibleWithReference, TextToVideo])


def made_batch(sound: bool = False) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(4)
    latents = torch.randn(2, C, F, H, W, generator=generator)
    heat = torch.rand(2, F, H, W, generator=generator).half()
    batch: dict[str, Any] = {"video_latents": {"latents": latents}, BATCH_KEY: {"weight": heat}}
    return {**batch, "audio": True} if sound else batch


def step(
    strategy: Any, batch: dict[str, Any], dtype: torch.dtype = torch.float32, sound: bool = False
) -> tuple[Tensor, Tensor, ModelInputs]:
    """Loss, gradient on the prediction, and the inputs of one step."""
    inputs = strategy.prepare_training_inputs(batch, None)
    prediction = (inputs.noisy * 0.7 + 0.1).to(dtype).requires_grad_()
    heard = torch.zeros(2, 5, 2) if sound else None
    loss = strategy.compute_loss(prediction, heard, inputs)
    loss.mean().backward()
    assert prediction.grad is not None
    return loss.detach(), prediction.grad, inputs


@STRATEGIES
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_weight_the_loss_is_the_strategys_own_bit_for_bit(
    strategy: Callable[[], Any], dtype: torch.dtype
) -> None:
    plain = step(strategy(), made_batch(), dtype)
    batch = made_batch()
    del batch[BATCH_KEY]  # nor are weights asked for
    ours = step(ltx.motion_strategy(strategy(), 0.0), batch, dtype)
    assert torch.equal(plain[0], ours[0])
    assert torch.equal(plain[1], ours[1])


@STRATEGIES
@pytest.mark.parametrize("motif_weight", [0.5, 1.0, 5.0])
def test_the_motion_part_is_the_papers_over_the_tokens_that_the_strategy_counts(
    strategy: Any, motif_weight: float
) -> None:
    batch = made_batch()
    loss, gradient, inputs = step(ltx.motion_strategy(strategy(), motif_weight), batch)
    prediction = (inputs.noisy * 0.7 + 0.1)[:, strategy.references :].requires_grad_()
    assert inputs.video_loss_mask is not None
    assert inputs.video_targets is not None
    wanted = motion_focal_loss(
        prediction, inputs.video_targets, tokens(batch[BATCH_KEY]["weight"][:, None]),
        weight=motif_weight, valid=inputs.video_loss_mask[:, strategy.references :, None],
    )  # fmt: skip
    expected = wanted.total if loss.ndim else wanted.total.mean()
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=0)
    wanted.total.mean().backward()
    torch.testing.assert_close(gradient[:, strategy.references :], prediction.grad)


@STRATEGIES
def test_the_gradient_on_conditioned_tokens_is_exactly_zero(strategy: Any) -> None:
    _, gradient, inputs = step(ltx.motion_strategy(strategy(), 1.0), made_batch())
    assert inputs.video_loss_mask is not None
    kept = inputs.video_loss_mask
    assert gradient[~kept].count_nonzero() == 0
    assert gradient[kept].count_nonzero() > 0
    assert int((~kept).sum()) == 2 * (strategy.references + H * W)


def test_hot_tokens_get_the_gradient_and_in_the_strategys_order() -> None:
    batch = made_batch()
    batch[BATCH_KEY]["weight"].zero_()
    batch[BATCH_KEY]["weight"][:, 1, 0, 3] = 1
    plain = step(Flexible(), made_batch())[1]
    gradient = step(ltx.motion_strategy(Flexible(), 1.0), batch)[1]
    hot = 1 * H * W + 0 * W + 3
    changed = (gradient != plain).any(-1)
    assert changed.nonzero()[:, 1].tolist() == [hot, hot]
    torch.testing.assert_close(gradient[:, hot], 2 * plain[:, hot])


def test_sound_keeps_its_plain_loss() -> None:
    batch = made_batch(sound=True)
    both = step(ltx.motion_strategy(Flexible(), 1.0), batch, sound=True)[0]
    alone = step(ltx.motion_strategy(Flexible(), 1.0), made_batch())[0]
    torch.testing.assert_close(both - alone, torch.ones(2))


def test_bfloat16_predictions_are_compared_in_float32() -> None:
    batch = made_batch()
    loss, _, inputs = step(ltx.motion_strategy(Flexible(), 1.0), batch, torch.bfloat16)
    prediction = (inputs.noisy * 0.7 + 0.1).bfloat16()
    assert inputs.video_loss_mask is not None
    assert inputs.video_targets is not None
    wanted = motion_focal_loss(
        prediction, inputs.video_targets, tokens(batch[BATCH_KEY]["weight"][:, None]),
        valid=inputs.video_loss_mask[..., None],
    )  # fmt: skip
    torch.testing.assert_close(loss, wanted.total, rtol=1e-5, atol=0)


def test_weights_of_other_latents_are_refused() -> None:
    strategy = ltx.motion_strategy(Flexible(), 1.0)
    batch = made_batch()
    batch[BATCH_KEY]["weight"] = batch[BATCH_KEY]["weight"][:, :2]
    with pytest.raises(ValueError, match=r"should be \(2, 3, 2, 4\) like the latents, got \(2, 2,"):
        step(strategy, batch)
    with pytest.raises(ValueError, match="the batch should have motion_weights and latents"):
        step(strategy, {"video_latents": made_batch()["video_latents"]})
    with pytest.raises(ValueError, match="motif_weight should be finite and at least 0"):
        ltx.motion_strategy(Flexible(), -1.0)


def test_the_strategy_stays_the_one_that_was_built() -> None:
    built = Flexible("config")
    moved = ltx.motion_strategy(built, 1.5)
    assert isinstance(moved, Flexible)
    assert moved.shared is built.shared
    moved.shared = torch.nn.Linear(2, 2)  # the trainer may put parts of it in their place later
    assert built.shared is moved.shared
    assert moved.get_checkpoint_metadata() == {"theirs": 1, "motif_weight": 1.5}
