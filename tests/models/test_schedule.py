"""Noising, its targets, and DDIM undo each other, with and without the x0 factor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from motifocal.models.schedule import (
    NoiseSchedule,
    PredictionType,
    ScaledDDIMScheduler,
    ddim_scheduler,
    late_start,
    noise_schedule,
)

VARIANTS: dict[str, tuple[PredictionType, bool, bool]] = {
    "epsilon": ("epsilon", False, False),
    "epsilon with scale": ("epsilon", False, True),
    "v": ("v_prediction", False, False),
    "v, zero terminal snr": ("v_prediction", True, False),
    "v, zero terminal snr, with scale": ("v_prediction", True, True),
}


def draw(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x0 = torch.randn(3, 4, 2, 3, 5, generator=generator)
    return x0, torch.randn(x0.shape, generator=generator), torch.tensor([3, 400, 900])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_target_gives_back_the_clean_latent(variant: str) -> None:
    schedule, (x0, noise, t) = noise_schedule(*VARIANTS[variant]), draw()
    x_t, target = schedule.add_noise(x0, noise, t), schedule.target(x0, noise, t)
    torch.testing.assert_close(schedule.x0_from(target, x_t, t), x0, atol=1e-4, rtol=0)


@pytest.mark.parametrize("steps", [7, 10, 30, 61])
@pytest.mark.parametrize("variant", VARIANTS)
def test_sampling_with_a_perfect_denoiser_ends_at_the_clean_latent(
    variant: str, steps: int
) -> None:
    scheduler, (x0, noise, _) = ddim_scheduler(*VARIANTS[variant]), draw()
    scheduler.set_timesteps(steps)
    schedule, first = scheduler.noise_schedule, int(scheduler.timesteps[0])
    x = schedule.add_noise(x0, noise, first)
    for t in scheduler.timesteps:
        x, seen = scheduler.step(schedule.target(x0, noise, int(t)), t, x, return_dict=False)
        torch.testing.assert_close(seen, x0, atol=1e-3, rtol=0)
    torch.testing.assert_close(x, schedule.add_noise(x0, noise, 0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("variant", ["epsilon", "v", "v, zero terminal snr"])
def test_without_the_factor_a_step_is_the_librarys(variant: str, eta: float) -> None:
    ours, (x, prediction, _) = ddim_scheduler(*VARIANTS[variant]), draw()
    own = {"x0_scale_end", "x0_scale_steps", "dynamic_rescale"}
    known = {k: v for k, v in ours.config.items() if k not in own}
    library = DDIMScheduler.from_config(known, trust_remote_code=False)
    # From pure noise the library takes the root of the difference of two equal numbers.
    tolerance = 2e-3 if eta and variant.endswith("snr") else 1e-5
    for scheduler in (ours, library):
        scheduler.set_timesteps(10)
    for t in ours.timesteps.tolist():
        given = {"eta": eta, "variance_noise": x.flip(0) if eta else None}
        one, other = (s.step(prediction, t, x, **given) for s in (ours, library))
        torch.testing.assert_close(one.prev_sample, other.prev_sample, atol=tolerance, rtol=1e-5)
        torch.testing.assert_close(
            one.pred_original_sample, other.pred_original_sample, atol=1e-5, rtol=1e-5
        )


def test_every_step_ends_where_the_next_one_starts() -> None:
    scheduler = ddim_scheduler("v_prediction", zero_terminal_snr=True)
    scheduler.set_timesteps(30)  # 1000 / 30 leaves a rest
    timesteps = scheduler.timesteps.tolist()
    assert [scheduler.previous_timestep(t) for t in timesteps] == [*timesteps[1:], 0]


@pytest.mark.parametrize("variant", ["v", "v, zero terminal snr"])
def test_any_number_of_steps_has_as_many_timesteps_all_in_training(variant: str) -> None:
    scheduler = ddim_scheduler(*VARIANTS[variant])
    for steps in range(1, 1001):
        scheduler.set_timesteps(steps)
        timesteps = scheduler.timesteps.tolist()
        assert timesteps == sorted(set(timesteps), reverse=True)
        assert (len(timesteps), min(timesteps) >= 0, max(timesteps) <= 999) == (steps, True, True)


def test_a_sampling_that_begins_far_from_noise_is_told_with_the_nearest_that_do_not() -> None:
    leading = ddim_scheduler("epsilon")
    for steps in (10, 25, 50, 333, 426):
        assert late_start(leading, steps) is None
    for steps, said in ((334, "667 of 1000"), (501, "501 of 1000"), (1, "1 of 1000")):
        assert said in (late_start(leading, steps) or "")
    assert (late_start(leading, 400) or "").endswith("take 333 or 426")
    assert (late_start(leading, 1) or "").endswith("take 7")
    assert leading.num_inference_steps is None
    trailing = ddim_scheduler("v_prediction", zero_terminal_snr=True)
    assert {late_start(trailing, steps) for steps in (1, 2, 334, 501, 1000)} == {None}


def dynamicrafter_steps(
    x: Tensor, predictions: list[Tensor], timesteps: list[int]
) -> list[tuple[Tensor, Tensor]]:
    """DynamiCrafter's sampler written out: each x and predicted x0, from the published formulas.

    pred_x0 of a v prediction is multiplied by s_prev / s_t; s_prev of the last step is s_t.
    """
    alphas = noise_schedule("v_prediction", zero_terminal_snr=True).alphas_cumprod.double()
    falling = torch.linspace(1.0, 0.7, 400, dtype=torch.float64)
    scale = torch.cat([falling, torch.full((1000,), 0.7, dtype=torch.float64)])
    steps, x = [], x.double()
    for index, (t, v) in enumerate(zip(timesteps, predictions, strict=True)):
        last = index == len(timesteps) - 1
        alpha, alpha_prev = alphas[t], alphas[0 if last else timesteps[index + 1]]
        noise = alpha.sqrt() * v + (1 - alpha).sqrt() * x
        x0 = alpha.sqrt() * x - (1 - alpha).sqrt() * v
        x0 = x0 * scale[t if last else timesteps[index + 1]] / scale[t]
        x = alpha_prev.sqrt() * x0 + (1 - alpha_prev).sqrt() * noise
        steps.append((x.float(), x0.float()))
    return steps


@pytest.mark.parametrize("count", [4, 10, 30])
def test_dynamic_rescale_samples_as_dynamicrafter_to_the_last_step(count: int) -> None:
    scheduler = ddim_scheduler("v_prediction", True, use_scale=True, dynamic_rescale=True)
    scheduler.set_timesteps(count)
    generator = torch.Generator().manual_seed(0)
    x, *predictions = torch.randn(count + 1, 1, 4, 2, 3, 5, generator=generator)
    expected = dynamicrafter_steps(x, predictions, scheduler.timesteps.tolist())
    for t, v, (x_prev, x0) in zip(scheduler.timesteps, predictions, expected, strict=True):
        x, seen = scheduler.step(v, t, x, return_dict=False)
        tolerance = 1e-5 * x_prev.abs().max().item()
        torch.testing.assert_close(x, x_prev, atol=tolerance, rtol=0)
        torch.testing.assert_close(seen, x0, atol=tolerance, rtol=0)


def test_videocrafter2s_last_step_differs_from_dynamicrafters() -> None:
    (x, v, _), ends = draw(), {}
    for dynamic in (False, True):
        scheduler = ddim_scheduler("v_prediction", True, True, dynamic_rescale=dynamic)
        scheduler.set_timesteps(4)  # the last timestep is 249, where the factor is 0.81
        inner, last = (scheduler.step(v, t, x).prev_sample for t in scheduler.timesteps[2:])
        ends[dynamic] = inner, last
    assert torch.equal(ends[False][0], ends[True][0])
    assert (ends[False][1] - ends[True][1]).abs().max() > 0.1


def test_velocity_is_safe_where_nothing_of_the_signal_is_left() -> None:
    schedule, (x0, noise, _) = noise_schedule("v_prediction", zero_terminal_snr=True), draw()
    assert schedule.alphas_cumprod[999] == 0
    x_t, v = schedule.add_noise(x0, noise, 999), schedule.velocity(x0, noise, 999)
    assert torch.equal(x_t, noise)
    assert torch.equal(v, -x0)
    assert torch.equal(schedule.x0_from(v, x_t, 999), x0)


def test_the_factor_falls_from_1_to_0_7_and_stays() -> None:
    scale = noise_schedule("epsilon", use_scale=True).scale
    assert scale[0] == 1
    assert torch.all(scale[:399].diff() < 0)
    assert torch.allclose(scale[399:], torch.tensor(0.7))
    assert torch.all(noise_schedule("epsilon").scale == 1)


def test_one_timestep_is_the_same_for_all() -> None:
    schedule, (x0, noise, _) = noise_schedule("epsilon", use_scale=True), draw()
    one, many = (schedule.add_noise(x0, noise, t) for t in (250, torch.tensor([250] * 3)))
    assert torch.equal(one, many)


def test_low_precision_latents_are_noised_in_float32() -> None:
    schedule, (x0, noise, t) = noise_schedule("epsilon"), draw()
    low = schedule.add_noise(x0.bfloat16(), noise.bfloat16(), t)
    exact = schedule.add_noise(x0.bfloat16().float(), noise.bfloat16().float(), t)
    assert torch.equal(low, exact.bfloat16())


def test_a_saved_scheduler_loads_with_its_factor(tmp_path: Path) -> None:
    saved = ddim_scheduler("v_prediction", True, use_scale=True, dynamic_rescale=True)
    saved.save_pretrained(tmp_path)
    loaded = ScaledDDIMScheduler.from_pretrained(tmp_path, trust_remote_code=False)
    assert torch.equal(loaded.noise_schedule.scale, saved.noise_schedule.scale)
    assert torch.equal(loaded.noise_schedule.alphas_cumprod, saved.noise_schedule.alphas_cumprod)
    assert loaded.config.timestep_spacing == "trailing"
    assert loaded.config.dynamic_rescale is True


def test_a_scheduler_saved_before_dynamic_rescale_samples_as_it_did(tmp_path: Path) -> None:
    saved = ddim_scheduler("v_prediction", zero_terminal_snr=True, use_scale=True)
    saved.save_pretrained(tmp_path)
    file = tmp_path / "scheduler_config.json"
    older = json.loads(file.read_text())
    del older["dynamic_rescale"]
    file.write_text(json.dumps(older))
    loaded = ScaledDDIMScheduler.from_pretrained(tmp_path, trust_remote_code=False)
    x, prediction, _ = draw()
    for scheduler in (saved, loaded):
        scheduler.set_timesteps(4)
    for t in saved.timesteps:
        one, other = (s.step(prediction, t, x, return_dict=False) for s in (saved, loaded))
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_stochastic_step_follows_the_generator() -> None:
    scheduler, (x, prediction, _) = ddim_scheduler("epsilon"), draw()
    scheduler.set_timesteps(10)

    def step(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return scheduler.step(prediction, 501, x, eta=1.0, generator=generator).prev_sample

    assert torch.equal(step(1), step(1))
    assert not torch.equal(step(1), step(2))


def test_predicting_noise_with_zero_terminal_snr_is_refused() -> None:
    with pytest.raises(ValueError, match="should go with v_prediction, got epsilon"):
        noise_schedule("epsilon", zero_terminal_snr=True)


def test_dynamic_rescale_without_the_factor_is_refused() -> None:
    with pytest.raises(ValueError, match="dynamic_rescale should go with use_scale"):
        ddim_scheduler("v_prediction", True, dynamic_rescale=True)


def test_a_step_before_set_timesteps_is_refused() -> None:
    x, prediction, _ = draw()
    with pytest.raises(ValueError, match="set_timesteps should be called before"):
        ddim_scheduler("epsilon").step(prediction, 901, x)


def test_wrong_shapes_are_refused() -> None:
    schedule, (x0, noise, t) = noise_schedule("epsilon"), draw()
    with pytest.raises(ValueError, match=r"t should be \(3,\) or one timestep, got \(2,\)"):
        schedule.add_noise(x0, noise, t[:2])
    with pytest.raises(ValueError, match=r"prediction should be \(3, 4, 2, 3, 5\), got \(3, 4, 1"):
        schedule.x0_from(noise[:, :, :1], x0, t)
    with pytest.raises(ValueError, match=r"\(T,\) both, got \(10,\) and \(9,\)"):
        NoiseSchedule(torch.ones(10), torch.ones(9), "epsilon")
