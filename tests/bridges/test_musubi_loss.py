"""musubi-tuner's training with the motion part of the loss."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from musubi_trainers import (
    Model,
    NewTrainer,
    OldTrainer,
    arguments,
    drawn,
    made_batch,
    timestep_weights,
)
from torch import Tensor

from motifocal.bridges import musubi
from motifocal.bridges.musubi_cache import BATCH_KEY
from motifocal.loss.focal import motion_focal_loss

TRAINERS = pytest.mark.parametrize("trainer", [OldTrainer, NewTrainer])


def trained(trainer: Any, args: Any, batch: dict[str, Any], model: Model) -> tuple[Tensor, Tensor]:
    """The loss of one step and the gradient that it leaves."""
    model.zero_grad()
    loss = trainer.step(args, model, batch)
    loss.backward()
    assert model.mix.weight.grad is not None
    return loss.detach(), model.mix.weight.grad.clone()


@TRAINERS
@pytest.mark.parametrize("scheme", ["none", "sigma_sqrt"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_weight_the_loss_is_the_trainers_own_bit_for_bit(
    trainer: type[Any], scheme: str, dtype: torch.dtype
) -> None:
    model = Model(dtype)
    plain = trained(trainer(), arguments(scheme), made_batch(), model)
    ours = trained(musubi.motion_trainer(trainer, 0.0)(), arguments(scheme), made_batch(), model)
    for theirs, got in zip(plain, ours, strict=True):
        assert torch.equal(theirs, got)
    # And it asks for no weights.
    batch = {"latents": made_batch()["latents"]}
    assert torch.equal(plain[0], musubi.motion_trainer(trainer, 0.0)().step(
        arguments(scheme), model, batch))  # fmt: skip


@TRAINERS
@pytest.mark.parametrize("scheme", ["none", "sigma_sqrt"])
@pytest.mark.parametrize("motif_weight", [0.5, 1.0, 5.0])
def test_the_motion_part_is_the_papers_under_the_trainers_timestep_weights(
    trainer: type[Any], scheme: str, motif_weight: float
) -> None:
    model, batch, args = Model(), made_batch(), arguments(scheme)
    latents, noise, noisy, timesteps = drawn(batch)
    weighting = timestep_weights(args, timesteps)
    wanted = motion_focal_loss(
        model(noisy), noise - latents, batch[BATCH_KEY][:, None], weight=motif_weight,
        timestep_weight=None if weighting is None else weighting.flatten(),
    )  # fmt: skip
    model.zero_grad()
    wanted.total.mean().backward()
    gradient = model.mix.weight.grad
    assert gradient is not None
    wanted_gradient = gradient.clone()
    loss, got = trained(musubi.motion_trainer(trainer, motif_weight)(), args, batch, model)
    torch.testing.assert_close(loss, wanted.total.mean().detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(got, wanted_gradient, rtol=1e-4, atol=1e-6)


@TRAINERS
def test_a_model_in_bfloat16_gives_the_loss_of_its_own_predictions(
    trainer: type[Any],
) -> None:
    model, batch = Model(torch.bfloat16), made_batch()
    latents, noise, noisy, _ = drawn(batch)
    wanted = motion_focal_loss(model(noisy), noise - latents, batch[BATCH_KEY][:, None])
    loss = musubi.motion_trainer(trainer, 1.0)().step(arguments("none"), model, batch)
    torch.testing.assert_close(loss, wanted.total.mean(), rtol=1e-5, atol=0)


@TRAINERS
def test_pictures_in_a_mixed_data_set_keep_the_plain_loss(trainer: type[Any]) -> None:
    batch = made_batch(frames=1)
    del batch[BATCH_KEY]
    model = Model()
    plain = trainer().step(arguments(), model, batch)
    assert torch.equal(plain, musubi.motion_trainer(trainer, 1.0)().step(arguments(), model, batch))


@TRAINERS
def test_a_batch_without_its_weights_is_refused(trainer: type[Any]) -> None:
    motion = musubi.motion_trainer(trainer, 1.0)()
    missing = {"latents": made_batch()["latents"]}
    with pytest.raises(ValueError, match="this batch has no motifocal_weight: make the weights"):
        motion.step(arguments(), Model(), missing)
    partly = made_batch()
    partly[BATCH_KEY] = partly[BATCH_KEY][:1]  # one cache of two has them
    with pytest.raises(ValueError, match=r"should be \(2, 3, 6, 8\) .*, got \(1, 3, 6, 8\)"):
        motion.step(arguments(), Model(), partly)
    other = made_batch()
    other[BATCH_KEY] = other[BATCH_KEY][:, :2]
    with pytest.raises(ValueError, match="latents were cached after their weights"):
        motion.step(arguments(), Model(), other)


def test_newer_versions_log_both_parts_and_write_the_weight_down() -> None:
    motion = musubi.motion_trainer(NewTrainer, 2.0)()
    loss = motion.step(arguments(), Model(), made_batch())
    parts = motion.metrics
    assert parts["theirs"] == 1.0
    assert loss.item() == pytest.approx(parts["loss/diffusion"] + 2 * parts["loss/motion"])
    assert motion.extra_metadata(None) == {"ss_theirs": "kept", "ss_motif_weight": 2.0}


def test_a_fork_with_another_loss_than_the_square_is_refused() -> None:
    args = SimpleNamespace(weighting_scheme="none", loss_type="huber")
    with pytest.raises(ValueError, match=r"--loss_type should be mse .*, got huber"):
        musubi.motion_trainer(OldTrainer, 1.0)().step(args, Model(), made_batch())


def test_a_weight_that_is_none_is_refused() -> None:
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="motif_weight should be finite and at least 0"):
            musubi.motion_trainer(NewTrainer, weight)
