"""A training goes on as it should, and nothing spoils its weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from motifocal.data.shards import LatentBatch, Shards, indices_of_step
from motifocal.models.schedule import noise_schedule
from motifocal.models.unet import TI2VUNet
from motifocal.training import loop
from motifocal.training.checkpoint import mixed_seed
from motifocal.training.loop import train
from motifocal.training.measurement.figure6 import evaluate_loss_ratio
from motifocal.training.presets import TrainingSettings, resolve
from motifocal.training.processes import open_accelerator
from motifocal.training.run_folder import check_encoders, fingerprint, load_text, load_vae
from motifocal.training.step import draw_noise
from motifocal.training.stepping import NonFiniteLoss


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return tiny.tiny_shards(tmp_path_factory.mktemp("shards"))


# Training.


def take(run: loop.Run, count: int) -> list[dict[str, float]]:
    """The log lines of the next `count` steps."""
    steps = train(run)
    return [next(steps) for _ in range(count)]


def test_a_training_lowers_the_loss(base: Path, shards: Shards, tmp_path: Path) -> None:
    run = tiny.tiny_run(tmp_path, base, shards, steps=40, save_every=100, learning_rate=5e-3)
    before = evaluate_loss_ratio(run.unet, shards, run.text, run.schedule, [700])
    run.unet.train()
    take(run, 40)
    after = evaluate_loss_ratio(run.unet, shards, run.text, run.schedule, [700])
    assert after.mean.mean() < 0.6 * before.mean.mean()
    assert np.nanmean(after.moving) < 0.8 * np.nanmean(before.moving)


def test_accumulation_gives_the_gradients_of_the_whole_batch(
    base: Path, shards: Shards, tmp_path: Path
) -> None:
    gradients = []
    for micro in (4, 1):
        unet = {**tiny.UNET, "temporal_dropout": 0.0}
        run = tiny.tiny_run(tmp_path / str(micro), base, shards, micro_batch=micro, unet=unet)
        lines = take(run, 3)
        gradients.append({n: p.grad.clone() for n, p in run.unet.named_parameters()})
        gradients[-1] |= {"loss": torch.tensor([line["loss"] for line in lines])}
    for name, whole in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], whole, rtol=1e-3, atol=1e-5)


def test_lambda_zero_trains_as_the_plain_loss_does_bit_for_bit(
    base: Path, shards: Shards, tmp_path: Path
) -> None:
    run = tiny.tiny_run(tmp_path, base, shards, motif_weight=0, optimizer="adamw")
    expected = plain_training(base, shards, run.settings, steps=3)
    take(run, 3)
    trained = dict(run.unet.named_parameters())
    assert all(torch.equal(trained[name], weight) for name, weight in expected.items())
    moved = tiny.tiny_run(tmp_path / "with", base, shards, optimizer="adamw")
    take(moved, 3)
    with_motif = dict(moved.unet.named_parameters())
    assert not all(torch.equal(with_motif[name], weight) for name, weight in expected.items())


def plain_training(
    base: Path, shards: Shards, settings: TrainingSettings, steps: int
) -> dict[str, Tensor]:
    """A diffusion training written out, without anything of the loss, the loop or accelerate."""
    torch.manual_seed(settings.seed)
    unet = TI2VUNet.build(settings.unet).train()
    optimizer = torch.optim.AdamW(unet.parameters(), weight_decay=settings.weight_decay)
    schedule, text = noise_schedule("v_prediction", settings.zero_terminal_snr), load_text(base)
    for step in range(steps):
        batch = shards.batch(indices_of_step(step, len(shards), 4, settings.seed))
        generator = torch.Generator().manual_seed(mixed_seed(settings.seed, step))
        draws = draw_noise(tuple(batch.latents.shape), settings, generator)
        features = text(batch.captions)
        features[draws.dropped] = text([""])
        torch.manual_seed(mixed_seed(settings.seed, step, 1))
        noisy = schedule.add_noise(batch.latents, draws.noise, draws.timesteps)
        prediction = unet(noisy, draws.timesteps, features, batch.fps, batch.latents[:, :, 0])
        target = schedule.velocity(batch.latents, draws.noise, draws.timesteps)
        loss = mse_loss(prediction, target, reduction="none").mean((1, 2, 3, 4)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(unet.parameters(), settings.max_grad_norm)
        part = min(1.0, (step + 1) / settings.warmup)
        optimizer.param_groups[0]["lr"] = settings.learning_rate * part
        optimizer.step()
    return dict(unet.named_parameters())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_loss_that_is_not_finite_stops_before_it_touches_the_weights(
    optimizer: str, base: Path, shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.tiny_run(tmp_path, base, shards, optimizer=optimizer, micro_batch=2)
    steps = train(run)
    next(steps)
    before = {name: weight.clone() for name, weight in tiny.weights(run).items()}
    good = run.shards.batch

    def spoilt(indices: list[int], *draw: object) -> LatentBatch:
        batch = good(indices)
        if spoilt.calls:  # the second micro-batch: the first has left its gradients already
            batch.latents[1, 0, 0, 0, 0] = torch.nan
        spoilt.calls += 1
        spoilt.caption = batch.captions[1]
        return batch

    spoilt.calls = 0
    monkeypatch.setattr(run.shards, "batch", spoilt)
    with pytest.raises(NonFiniteLoss, match="not finite at step 1") as caught:
        next(steps)
    monkeypatch.undo()
    assert spoilt.calls == 2
    assert spoilt.caption in str(caught.value)
    assert tiny.equal(tiny.weights(run), before)
    assert run.step == 1


def test_gradients_that_are_not_finite_stop_before_they_touch_the_weights(
    base: Path, shards: Shards, tmp_path: Path
) -> None:
    run = tiny.tiny_run(tmp_path, base, shards)
    before = {name: weight.clone() for name, weight in tiny.weights(run).items()}
    run.unet.conv_out.weight.register_hook(lambda grad: grad * torch.inf)
    with pytest.raises(NonFiniteLoss, match=r"gradient norm is \S+ at step 0"):
        next(train(run))
    assert tiny.equal(tiny.weights(run), before)


def test_the_average_follows_the_weights(base: Path, shards: Shards, tmp_path: Path) -> None:
    run = tiny.tiny_run(tmp_path, base, shards, ema_decay=0.0)
    list(train(run))
    averaged = loop.averaged_unet(run)
    assert not averaged.training
    for ours, average in zip(run.unet.parameters(), averaged.parameters(), strict=True):
        torch.testing.assert_close(ours, average)


def test_the_averaged_network_takes_no_memory_of_its_own_and_changes_nothing(
    base: Path, shards: Shards, tmp_path: Path
) -> None:
    run, other = (tiny.tiny_run(tmp_path / name, base, shards) for name in ("a", "b"))
    steps, plain = train(run), train(other)
    for _ in range(2):
        next(steps), next(plain)
    averaged = loop.averaged_unet(run)
    owned = {average.data_ptr() for average in run.average.shadow_params}
    assert {weight.data_ptr() for weight in averaged.parameters()} == owned
    assert not any(weight.requires_grad for weight in averaged.parameters())
    trained = {buffer.data_ptr() for buffer in run.unet.buffers()}
    assert {buffer.data_ptr() for buffer in averaged.buffers()} == trained
    sample = torch.randn(1, 4, 3, 2, 2)
    with torch.no_grad():
        made = averaged(sample, 999, torch.zeros(1, 8, 8), 8.0, image_latent=sample[:, :, 0])
    assert made.isfinite().all()
    assert run.unet.training
    list(steps), list(plain)
    assert tiny.equal(tiny.weights(run), tiny.weights(other))


# Parts that do not fit.


@pytest.mark.parametrize(
    ("unet", "message"),
    [
        ({"latent_channels": 5}, "latents should have 5 channels, got 4"),
        ({"cross_attention_dim": 12}, "text encoder should be 12 wide, got 8"),
        ({"block_out_channels": [8] * 3, "attention": [False] * 3},
         "latents should divide by 4, got 2x2"),
        ({"image_condition": "none"}, "image_condition should be 'concat', 'attention' or 'both'"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_refused_and_leave_no_trace(
    unet: dict[str, Any], message: str, base: Path, shards: Shards, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny.tiny_run(tmp_path / "run", base, shards, unet={**tiny.UNET, **unet})
    assert not (tmp_path / "run").exists()


def test_first_weights_of_another_network_are_refused(
    base: Path, shards: Shards, tmp_path: Path
) -> None:
    tiny.fresh_accelerator()
    other = TI2VUNet.build(resolve("scenes", {"unet": {**tiny.UNET, "head_width": 8}}).unet)
    with pytest.raises(ValueError, match="unet should be UNetConfig"):
        loop.start(tmp_path, shards, load_text(base), tiny.tiny_settings(),
                   open_accelerator("no", cpu=True), other)


def test_first_weights_are_where_a_training_begins(
    base: Path, shards: Shards, tmp_path: Path
) -> None:
    tiny.fresh_accelerator()
    torch.manual_seed(77)
    first = TI2VUNet.build(tiny.tiny_settings().unet)
    expected = {name: weight.clone() for name, weight in first.named_parameters()}
    run = loop.start(tmp_path, shards, load_text(base), tiny.tiny_settings(),
                     open_accelerator("no", cpu=True), first)
    assert all(torch.equal(w, expected[n]) for n, w in run.unet.named_parameters())


def test_shards_of_another_autoencoder_are_refused(base: Path, shards: Shards) -> None:
    vae = load_vae(base)
    check_encoders(shards, vae)  # says nothing about its autoencoder
    shards.manifest["source"]["autoencoder"] = fingerprint(vae.half().float())
    check_encoders(shards, vae)
    with torch.no_grad():
        vae.encoder.conv_in.weight[0, 0, 0, 0] += 0.1
    with pytest.raises(ValueError, match="should come from the autoencoder in vae/"):
        check_encoders(shards, vae)
    del shards.manifest["source"]["autoencoder"]


# Text features.


def test_a_caption_has_the_same_features_in_any_company(base: Path) -> None:
    alone = load_text(base)([tiny.SENTENCES[1]])
    among = load_text(base)(tiny.SENTENCES)
    assert alone.shape == (1, 8, 8)
    assert torch.equal(alone[0], among[1])


def test_a_short_caption_is_padded_with_the_towers_own_token(base: Path) -> None:
    text = load_text(base)
    seen = []
    text.text_encoder.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True
    )
    text([""])
    assert seen[0].tolist() == [[1, 2, 0, 0, 0, 0, 0, 0]]


def test_the_cache_of_features_stays_small(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CACHE_BYTES", 3 * 8 * 8 * 4)
    text = load_text(base)
    captions = [f"duck {k}" for k in range(8)]
    features = text(captions)
    assert len(text.cache) <= 3
    assert torch.equal(features, load_text(base)(captions))


def test_settings_are_kept_beside_the_run(base: Path, shards: Shards, tmp_path: Path) -> None:
    run = tiny.tiny_run(tmp_path, base, shards)
    stored = TrainingSettings.model_validate_json(loop.settings_path(tmp_path).read_text())
    assert stored == run.settings
    assert asdict(stored.unet)["block_out_channels"] == (8,)
