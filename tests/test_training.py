"""The training step and its settings: what the paper says, and nothing that spoils weights."""

from __future__ import annotations

import copy
import re
import weakref
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
from motifocal.training.optimizer import MuonWithAdamW, build_optimizer, learning_rate
from motifocal.training.presets import PAPER, RENAMED, SCENES, TrainingSettings, resolve
from motifocal.training.processes import open_accelerator
from motifocal.training.run_folder import check_encoders, fingerprint, load_text, load_vae
from motifocal.training.step import StepNoise, draw_noise, training_step
from motifocal.training.stepping import NonFiniteLoss


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return tiny.tiny_shards(tmp_path_factory.mktemp("shards"))


# Settings.


def test_the_paper_preset_holds_the_numbers_of_the_paper() -> None:
    assert (PAPER.global_batch, PAPER.learning_rate, PAPER.steps) == (64, 5e-5, 32_000)
    assert (PAPER.prediction_type, PAPER.text_dropout) == ("v_prediction", 0.1)
    assert (PAPER.motif_weight, PAPER.motif_variant) == (1.0, "motif")
    assert (PAPER.unet.latent_channels, PAPER.unet.image_condition) == (4, "concat")
    assert (PAPER.timestep_power, PAPER.optimizer) == (1.0, "adamw")


@pytest.mark.parametrize("preset", [PAPER, SCENES])
def test_a_preset_survives_json_and_passes_its_own_checks(preset: TrainingSettings) -> None:
    assert TrainingSettings.model_validate_json(preset.model_dump_json()) == preset
    assert preset.accumulation(1) == preset.global_batch // preset.micro_batch


def test_every_unknown_key_and_every_bad_value_is_named() -> None:
    with pytest.raises(ValueError, match="learning_rate should be greater than 0, got -1") as no:
        resolve("scenes", {"learning_rate": -1, "stepz": 5, "unet": {"widths": 3},
                           "optimizer": "sgd"})
    message = str(no.value)
    assert "there is no setting 'stepz'" in message
    assert "there is no setting 'unet.widths'" in message
    assert "optimizer should be 'adamw' or 'muon', got 'sgd'" in message
    assert "http" not in message


def test_a_setting_is_taken_by_its_old_name_with_a_warning_but_not_by_both() -> None:
    for old, now in RENAMED.items():
        with pytest.warns(DeprecationWarning, match=f"the setting {old} is now {now}; the old"):
            settings = resolve("scenes", {old: 0.5})
        assert settings == resolve("scenes", {now: 0.5})
        stored = {**SCENES.model_dump(exclude={now}), old: 0.5}
        with pytest.warns(DeprecationWarning, match=f"the setting {old} is now {now}; the old"):
            assert TrainingSettings.model_validate(stored) == settings
        with pytest.raises(ValueError, match=f"given once, got {old} and {now}, which"):
            resolve("scenes", {old: 0.5, now: 0.5})


def test_a_network_whose_numbers_disagree_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unet: .*head_width 7"):
        resolve("scenes", {"unet": {"head_width": 7}})


@pytest.mark.parametrize(("steps", "warmup"), [(30, 100), (99, 100), (1, 2)])
def test_a_schedule_that_never_reaches_its_rate_is_refused_with_numbers_that_would_do(
    steps: int, warmup: int
) -> None:
    with pytest.raises(ValueError, match=f"steps {steps} end within the warm-up of {warmup}") as no:
        resolve("scenes", {"steps": steps, "warmup": warmup})
    numbers = dict(re.findall(r"(warmup|cooldown)=(\d+)", str(no.value)))
    settings = resolve("scenes", {"steps": steps, **{k: int(v) for k, v in numbers.items()}})
    rates = [learning_rate(step, peak=settings.learning_rate, warmup=settings.warmup,
                           total=settings.steps, cooldown=settings.cooldown)
             for step in range(steps)]  # fmt: skip
    assert max(rates) == pytest.approx(settings.learning_rate)


def test_precision_is_said_in_words_and_stored_as_before() -> None:
    assert resolve("scenes", {"precision": "float32"}).precision == "no"
    assert resolve("scenes", {"precision": "bfloat16"}).precision == "bf16"
    with pytest.raises(ValueError, match="precision should be 'no' or 'bf16', got 'fp8'"):
        resolve("scenes", {"precision": "fp8"})


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of \['paper', 'scenes'\], got 'big'"):
        resolve("big", {})


def test_a_batch_that_cannot_be_split_is_refused() -> None:
    settings = tiny.tiny_settings(global_batch=12, micro_batch=4)
    assert (settings.accumulation(1), settings.accumulation(3)) == (3, 1)
    with pytest.raises(ValueError, match="multiple of micro_batch x processes = 8, got 12"):
        settings.accumulation(2)


# The step.


class Recorder(nn.Module):
    """Predicts zeros, and keeps what it was given."""

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor,
                fps: Tensor, image_latent: Tensor) -> Tensor:
        self.given = {"sample": sample, "timestep": timestep, "text": encoder_hidden_states,
                      "fps": fps, "image_latent": image_latent}
        return torch.zeros_like(sample)


def step_with_recorder(dropped: Tensor) -> tuple[dict[str, Tensor], LatentBatch]:
    settings = tiny.tiny_settings()
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(len(dropped), 4, 3, 2, 2, generator=generator)
    batch = LatentBatch(latents, torch.rand(len(dropped), 1, 3, 2, 2), ["x"] * len(dropped),
                        torch.full((len(dropped),), 8.0))
    drawn = draw_noise(tuple(latents.shape), settings, generator)
    draws = StepNoise(drawn.noise, drawn.timesteps, dropped, drawn.untold)
    text, empty = torch.ones(len(dropped), 5, 8), torch.full((1, 5, 8), -1.0)
    recorder: Any = Recorder()
    schedule = noise_schedule("v_prediction", True)
    training_step(recorder, batch, text, empty, draws, schedule, settings)
    return recorder.given, batch


def test_a_dropped_text_is_replaced_by_the_empty_text() -> None:
    dropped = torch.tensor([True, False, True, False])
    given, _ = step_with_recorder(dropped)
    assert torch.equal(given["text"][:, 0, 0], torch.tensor([-1.0, 1.0, -1.0, 1.0]))


def test_the_picture_is_the_clean_latent_of_the_first_frame() -> None:
    given, batch = step_with_recorder(torch.zeros(4, dtype=torch.bool))
    assert torch.equal(given["image_latent"], batch.latents[:, :, 0])
    assert not torch.equal(given["sample"][:, :, 0], batch.latents[:, :, 0])


def test_texts_are_dropped_and_times_drawn_as_often_as_the_settings_say() -> None:
    draws = draw_noise((40_000, 1, 1, 1, 1), PAPER, torch.Generator().manual_seed(0))
    assert float(draws.dropped.float().mean()) == pytest.approx(0.1, abs=0.005)
    assert (int(draws.timesteps.min()), int(draws.timesteps.max())) == (0, 999)
    assert float(draws.timesteps.float().mean()) == pytest.approx(499.5, abs=5)
    noisier = draw_noise((40_000, 1, 1, 1, 1), SCENES, torch.Generator().manual_seed(0))
    assert float(noisier.timesteps.float().mean()) == pytest.approx(666, abs=5)


def test_priors_leave_the_draws_of_noise_times_and_texts_as_they_were() -> None:
    settings = tiny.tiny_settings()
    draws = draw_noise((6, 4, 3, 2, 2), settings, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(draws.noise, torch.randn(6, 4, 3, 2, 2, generator=generator))
    uniform = torch.rand(6, generator=generator)
    assert torch.equal(draws.timesteps, (1000 * uniform.sqrt()).long().clamp(max=999))
    assert torch.equal(draws.dropped, torch.rand(6, generator=generator) < 0.1)
    many = draw_noise((40_000, 1, 1, 1, 1), settings, generator).untold.float()
    assert many.mean(0).tolist() == pytest.approx([0.1, 0.1], abs=0.005)
    assert float((many[:, 0] * many[:, 1]).mean()) == pytest.approx(0.01, abs=0.002)


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


# Optimiser and rate.


def small_network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3), nn.Flatten(),
                         nn.Linear(4, 3))


def one_update(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    x = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    network(x).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_an_optimiser_goes_on_from_its_state_as_if_it_had_never_stopped(name: Any) -> None:
    network = small_network()
    optimizer = build_optimizer(name, network, 1e-2, 0.1, adamw_names=("0.",))
    for seed in range(3):
        one_update(network, optimizer, seed)
    other = small_network()
    other.load_state_dict(network.state_dict())
    resumed = build_optimizer(name, other, 1e-2, 0.1, adamw_names=("0.",))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # as through a file
    for seed in range(3, 6):
        one_update(network, optimizer, seed)
        one_update(other, resumed, seed)
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_muon_updates_hidden_weights_orthogonally_and_leaves_the_edges_to_adamw() -> None:
    network = small_network()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = build_optimizer("muon", network, 1e-2, 0.0, adamw_names=("0.",))
    assert isinstance(optimizer, MuonWithAdamW)
    one_update(network, optimizer, 0)
    change = {name: p.detach() - before[name] for name, p in network.named_parameters()}
    # AdamW's first step is the rate in every element; Muon's singular values are all about equal.
    assert float(change["0.weight"].abs().median()) == pytest.approx(1e-2, rel=0.01)
    values = torch.linalg.svdvals(change["2.weight"].flatten(1))
    assert float(values.max() / values.min()) < 2


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_an_optimiser_keeps_no_gradient_that_zero_grad_has_cleared(name: Any) -> None:
    network = small_network()
    optimizer = build_optimizer(name, network, 1e-2, 0.0)
    one_update(network, optimizer, 0)
    gradients = [weakref.ref(p.grad.untyped_storage()) for p in network.parameters()
                 if p.grad is not None]
    assert len(gradients) == len(list(network.parameters()))
    optimizer.zero_grad(set_to_none=True)
    assert [gradient() for gradient in gradients] == [None] * len(gradients)


def test_the_rate_warms_up_stays_and_cools_down() -> None:
    rates = [learning_rate(k, peak=1.0, warmup=10, total=100, cooldown=30) for k in range(100)]
    assert rates[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
    assert set(rates[10:71]) == {1.0}
    assert rates[71:] == sorted(rates[71:], reverse=True)
    assert rates[85] == pytest.approx(0.505)
    assert 0.01 < rates[99] < 0.02
    assert learning_rate(9, peak=1.0, warmup=1, total=10, cooldown=0) == 1.0


def test_settings_are_kept_beside_the_run(base: Path, shards: Shards, tmp_path: Path) -> None:
    run = tiny.tiny_run(tmp_path, base, shards)
    stored = TrainingSettings.model_validate_json(loop.settings_path(tmp_path).read_text())
    assert stored == run.settings
    assert asdict(stored.unet)["block_out_channels"] == (8,)
