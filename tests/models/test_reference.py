"""Every stored vector of the published code is met within its stated tolerance."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel

from motifocal.models.autoencoder import decode, encode
from motifocal.models.released.videocrafter2_names import (
    UNET_PREFIX,
    Source,
    autoencoder_sources,
    text_sources,
    unet_sources,
)
from motifocal.models.schedule import ddim_scheduler, noise_schedule
from motifocal.models.text import encode_tokens, text_config
from motifocal.models.unet import VIDEOCRAFTER2, ImageCondition, TI2VUNet, UNetConfig
from motifocal.models.videocrafter2 import VIDEOCRAFTER2_BASE, check_names_and_shapes, plan_import

UNETS = ["vc2_t2v", "vc2_i2v_concat"]


def arrays(reference: Path, name: str) -> dict[str, Tensor]:
    with np.load(reference / f"{name}.npz") as stored:
        return {key: torch.from_numpy(stored[key]) for key in stored.files}


def options(reference: Path, name: str) -> dict[str, Any]:
    return json.loads((reference / f"{name}.json").read_text())


def load(model: torch.nn.Module, sources: dict[str, Source], released: dict[str, Tensor]) -> None:
    assert {source.name for source in sources.values()} == released.keys()
    model.load_state_dict({name: s.read(released[s.name]) for name, s in sources.items()})


def unet_config(reference: Path, case: str) -> UNetConfig:
    upstream = options(reference, case)["unet_kwargs"]
    levels = range(len(upstream["channel_mult"]))
    return UNetConfig(
        latent_channels=upstream["out_channels"],
        block_out_channels=tuple(
            upstream["model_channels"] * factor for factor in upstream["channel_mult"]
        ),
        attention=tuple(2**level in upstream["attention_resolutions"] for level in levels),
        layers_per_block=upstream["num_res_blocks"],
        norm_num_groups=32,
        head_width=upstream["num_head_channels"],
        input_attention_heads=8,
        cross_attention_dim=upstream["context_dim"],
        temporal_dropout=0.1,
        image_condition="concat" if upstream["in_channels"] == 8 else "none",
    )


def load_unet(reference: Path, case: str) -> tuple[TI2VUNet, dict[str, Source]]:
    config = unet_config(reference, case)
    unet = TI2VUNet.build(config).eval()
    sources = unet_sources(config, unet.state_dict())
    stored = load_file(reference / f"{case}.safetensors")
    load(unet, sources, {UNET_PREFIX + name: value for name, value in stored.items()})
    return unet, sources


@pytest.fixture
def reference(shared: Path) -> Path:
    return shared / "reference"


@pytest.mark.parametrize("case", UNETS)
def test_unet_output_and_gradients_match(reference: Path, case: str) -> None:
    unet, sources = load_unet(reference, case)
    stored = arrays(reference, case)
    # The 4-channel case stores its input as x alone, the 8-channel one in its two halves too.
    latent = stored.get("noisy_latent", stored["x"]).requires_grad_()
    context = stored["context"].requires_grad_()
    image = stored["image_latent"][:, :, 0].requires_grad_() if "image_latent" in stored else None
    out = unet(latent, stored["timesteps"], context, stored["fps"], image_latent=image)
    torch.testing.assert_close(out, stored["out"], atol=1e-4, rtol=0)

    out.backward(stored["cotangent"])
    gradient = stored["grad_x"]
    torch.testing.assert_close(latent.grad, gradient[:, :4], atol=1e-3, rtol=0)
    torch.testing.assert_close(context.grad, stored["grad_context"], atol=1e-3, rtol=0)
    if image is not None:  # one latent, repeated: it gathers the gradient of all frames
        torch.testing.assert_close(image.grad, gradient[:, 4:].sum(2), atol=1e-3, rtol=0)
    parameters = dict(unet.named_parameters())
    for name, source in sources.items():
        norm = stored[f"grad_norm/{source.name.removeprefix(UNET_PREFIX)}"].item()
        assert parameters[name].grad.norm().item() == pytest.approx(norm, abs=1e-3, rel=1e-4), name


@pytest.mark.parametrize("case", UNETS)
def test_the_reference_notices_a_dropped_frame_rate(reference: Path, case: str) -> None:
    unet, _ = load_unet(reference, case)
    stored = arrays(reference, case)
    image = stored["image_latent"][:, :, 0] if "image_latent" in stored else None
    latent = stored.get("noisy_latent", stored["x"])
    with torch.no_grad():
        out = unet(latent, stored["timesteps"], stored["context"], 16, image_latent=image)
    assert (out - stored["out"]).abs().max() > 0.1


@pytest.mark.parametrize("image_condition", ["none", "concat"])
def test_all_2039_released_names_and_shapes_are_accounted_for(
    reference: Path, image_condition: ImageCondition
) -> None:
    names = options(reference, "videocrafter2_full_ckpt_keys")["keys"]
    unet = replace(VIDEOCRAFTER2, image_condition=image_condition)
    plan = plan_import(replace(VIDEOCRAFTER2_BASE, unet=unet))
    check_names_and_shapes(plan, {name: tuple(shape) for name, shape in names.items()})
    assert len(names) == 2039
    assert len(plan.unused) == 27
    assert {p.device.type for m in plan.models.values() for p in m.parameters()} == {"meta"}


SAMPLERS = {
    "ddim_vc_eps_plain": ("epsilon", False),
    "ddim_dc_v_concat": ("v_prediction", False),
    "ddim_dc_v_zerosnr_trailing": ("v_prediction", True),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_guided_sampling_matches_step_by_step_and_at_the_end(reference: Path, name: str) -> None:
    settings, stored = options(reference, name), arrays(reference, name)
    unet, _ = load_unet(reference, settings["unet_case"])
    prediction_type, zero_terminal_snr = SAMPLERS[name]
    scheduler = ddim_scheduler(prediction_type, zero_terminal_snr)
    scheduler.set_timesteps(settings["steps"])
    assert torch.equal(scheduler.timesteps, stored["timesteps"])

    given = {
        "encoder_hidden_states": torch.cat([stored["uncond_context"], stored["context"]]),
        "fps": stored["fps"].repeat(2),
    }
    if "image_latent" in stored:  # kept in the unconditional branch
        given["image_latent"] = stored["image_latent"][:, :, 0].repeat(2, 1, 1, 1)

    def step(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            without, with_text = unet(x.repeat(2, 1, 1, 1, 1), t, **given).chunk(2)
        guided = without + settings["guidance"] * (with_text - without)
        return scheduler.step(guided, t, x, return_dict=False)

    tolerance = 1e-4 * stored["final"].abs().max().item()
    x = stored["x_T"]
    for index, t in enumerate(scheduler.timesteps):
        from_stored, x0 = step(stored["x_steps"][index], t)
        expected_x0 = stored["pred_x0_steps"][index]
        torch.testing.assert_close(
            from_stored, stored["x_steps"][index + 1], atol=tolerance, rtol=0
        )
        # An epsilon prediction of x0 is divided by sqrt(alpha), and rounding with it.
        torch.testing.assert_close(
            x0, expected_x0, atol=1e-4 * expected_x0.abs().max().item(), rtol=0
        )
        x, _ = step(x, t)
    torch.testing.assert_close(x, stored["final"], atol=tolerance, rtol=0)


@pytest.mark.parametrize(
    ("zero_terminal_snr", "use_scale", "noisy", "velocity"),
    [
        (False, True, "x_noisy_vc2_use_scale", None),
        (False, False, "x_noisy_dc_plain", "v_target_dc_plain"),
        (True, False, "x_noisy_dc_zerosnr", "v_target_dc_zerosnr"),
        (True, True, "x_noisy_dc_zerosnr_dynrescale", "v_target_dc_zerosnr_dynrescale"),
    ],
)
def test_training_targets_match(
    reference: Path, zero_terminal_snr: bool, use_scale: bool, noisy: str, velocity: str | None
) -> None:
    stored = arrays(reference, "train_targets")
    schedule = noise_schedule("v_prediction", zero_terminal_snr, use_scale)
    given = stored["x0"], stored["noise"], stored["t"]
    torch.testing.assert_close(schedule.add_noise(*given), stored[noisy], atol=5e-6, rtol=0)
    if velocity is not None:
        torch.testing.assert_close(schedule.velocity(*given), stored[velocity], atol=5e-6, rtol=0)


@pytest.mark.parametrize(
    ("zero_terminal_snr", "name"), [(False, "linear"), (True, "linear_zerosnr")]
)
def test_cumulative_alphas_match(reference: Path, zero_terminal_snr: bool, name: str) -> None:
    stored = arrays(reference, "schedules")
    ours = noise_schedule("v_prediction", zero_terminal_snr)
    expected = stored[f"alphas_cumprod_{name}"].float()
    torch.testing.assert_close(ours.alphas_cumprod, expected, atol=1e-6, rtol=0)
    assert (ours.alphas_cumprod[-1] == 0) == zero_terminal_snr


def test_the_x0_factor_matches(reference: Path) -> None:
    stored = arrays(reference, "schedules")["scale_arr_vc2"]  # 400 falling and 1000 flat entries
    ours = noise_schedule("epsilon", use_scale=True).scale
    torch.testing.assert_close(ours, stored[:1000], atol=1e-6, rtol=0)


@pytest.mark.parametrize("steps", [4, 10, 25, 30, 50, 100, 999])
@pytest.mark.parametrize("spacing", ["uniform", "uniform_trailing"])
def test_timesteps_match(reference: Path, steps: int, spacing: str) -> None:
    expected = arrays(reference, "schedules")[f"t_{spacing}_{steps}"]
    scheduler = ddim_scheduler("v_prediction", zero_terminal_snr=spacing == "uniform_trailing")
    scheduler.set_timesteps(steps)
    if len(expected) > steps:  # the published "uniform" takes a step more if steps leave a rest
        expected = expected[:steps]
    assert torch.equal(scheduler.timesteps.flip(0), expected)


def autoencoder(reference: Path) -> AutoencoderKL:
    upstream = options(reference, "vae")
    sizes = upstream["ddconfig"]
    levels = len(sizes["ch_mult"])
    model = AutoencoderKL(
        block_out_channels=tuple(sizes["ch"] * factor for factor in sizes["ch_mult"]),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=sizes["num_res_blocks"],
        latent_channels=sizes["z_channels"],
        scaling_factor=upstream["scale_factor"],
    ).eval()
    sources = autoencoder_sources(levels, model.state_dict())
    load(model, sources, load_file(reference / "vae.safetensors"))
    return model


def test_the_autoencoder_matches(reference: Path) -> None:
    model, stored = autoencoder(reference), arrays(reference, "vae")
    as_video = stored["x"].transpose(0, 1)[None]  # two pictures as two frames
    mean = encode(model, as_video, frames_per_chunk=1)[0].transpose(0, 1) / 0.18215
    torch.testing.assert_close(mean, stored["mean"], atol=1e-5, rtol=0)
    with torch.no_grad():
        posterior = model.encode(stored["x"]).latent_dist
    torch.testing.assert_close(posterior.logvar, stored["logvar"], atol=1e-5, rtol=0)
    sampled = 0.18215 * (posterior.mean + posterior.std * stored["noise"])
    torch.testing.assert_close(sampled, stored["latent_scaled"], atol=1e-5, rtol=0)

    latents = stored["latent_scaled"].transpose(0, 1)[None]
    decoded = decode(model, latents, frames_per_chunk=2)[0].transpose(0, 1)
    torch.testing.assert_close(decoded, stored["recon"], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("dropped", "key"), [(1, "out"), (0, "out_last_layer")])
def test_the_text_encoder_without_its_last_block_matches(
    reference: Path, dropped: int, key: str
) -> None:
    sizes, stored = options(reference, "text_penultimate"), arrays(reference, "text_penultimate")
    kept = sizes["layers"] - dropped
    model = CLIPTextModel(text_config(sizes["width"], sizes["heads"], kept, 49408)).eval()
    released = load_file(reference / "text_penultimate.safetensors")
    sources = text_sources(model.state_dict())
    model.load_state_dict({name: s.read(released[s.name]) for name, s in sources.items()})
    with torch.no_grad():
        features = encode_tokens(model, stored["tokens"])
    torch.testing.assert_close(features, stored[key], atol=1e-5, rtol=0)
