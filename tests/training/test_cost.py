"""What a training takes is worked out on networks without contents."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch
from click.testing import CliRunner

from motifocal.cli import cli
from motifocal.cli.options.cost import LATENTS
from motifocal.models.autoencoder import downsampling_factor
from motifocal.models.folder_files import read_index
from motifocal.models.pipeline import BUNDLED
from motifocal.models.unet import TI2VUNet
from motifocal.training.measurement.cost import inputs_of, kept_by_autograd, training_cost
from motifocal.training.optimizer import build_optimizer
from motifocal.training.presets import PAPER
from motifocal.training.run_folder import load_vae

TINY = (3, 4, 4)


@pytest.mark.slow
def test_the_papers_network_takes_the_flops_and_bytes_that_are_known_of_it() -> None:
    cost = training_cost(PAPER, (16, 40, 64), devices=8)
    assert cost.parameters == 1_413_295_940
    # 12.58 where the text's keys and values are computed anew for every frame.
    keys_and_values = 15 * 77 * 2 * 2 * 1024 * (5 * 320 + 5 * 640 + 6 * 1280)
    assert (cost.forward + keys_and_values) / 1e12 == pytest.approx(12.58, abs=0.01)
    assert cost.step == 64 * 4 * cost.forward
    for part in ("weights", "gradients", "moving average"):
        assert cost.memory[part] == 4 * cost.parameters
    assert cost.memory["optimizer (adamw)"] == 8 * cost.parameters
    assert cost.activations.checkpointed < cost.activations.all / 4
    seconds = 3600 * cost.hours(312, 0.4) / 32_000
    assert seconds == pytest.approx(cost.step / (8 * 312e12 * 0.4))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_those_that_a_real_forward_pass_keeps(checkpointing: bool) -> None:
    settings = tiny.tiny_settings(gradient_checkpointing=checkpointing)
    unet, inputs = TI2VUNet.build(settings.unet).train(), inputs_of(settings, TINY)
    weights = {p.data_ptr() for p in unet.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        unet(**inputs)
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    cost = training_cost(settings, TINY, devices=1)
    assert cost.activations.all == pytest.approx(real, rel=0.02)
    assert cost.activations.checkpointed < cost.activations.all
    used = cost.activations.checkpointed if checkpointing else cost.activations.all
    assert cost.memory["activations, micro-batch of 4"] == 4 * used


def test_attention_keeps_no_matrix_of_all_pairs() -> None:
    settings = tiny.tiny_settings(unet={**tiny.UNET, "attention": [True]})
    with torch.device("meta"):
        unet = TI2VUNet.build(settings.unet)
        few, many = (kept_by_autograd(unet, inputs_of(settings, (2, side, side))).all
                     for side in (32, 64))
    assert many < 4.1 * few


@pytest.mark.parametrize("source", ["encoder", "latents"])
def test_image_tokens_and_priors_have_their_cost(source: str) -> None:
    plain = tiny.tiny_settings(unet={**tiny.UNET, "attention": [True]})
    told = {"image_condition": "both", "image_attention": "decoupled", "motion_score": True,
            "motion_mask": True, "image_token_source": source,
            "image_token_dim": 5 if source == "encoder" else plain.unet.latent_token_dim}
    network = {**tiny.UNET, "attention": [True], **told}
    costs = [training_cost(settings, TINY, devices=1)
             for settings in (plain, tiny.tiny_settings(unet=network))]
    assert costs[0].parameters < costs[1].parameters
    assert costs[0].forward < costs[1].forward


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_the_optimisers_bytes_are_those_that_it_keeps(name: str) -> None:
    settings = tiny.tiny_settings(optimizer=name)
    unet = TI2VUNet.build(settings.unet)
    optimizer = build_optimizer(settings.optimizer, unet, 1e-3, 0.0, ("conv_in", "conv_out"))
    for parameter in unet.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    kept: list[torch.Tensor] = []

    def collect(value: object) -> None:
        if isinstance(value, torch.Tensor) and value.ndim:
            kept.append(value)
        for inner in value.values() if isinstance(value, dict) else ():
            collect(inner)

    collect(optimizer.state_dict())
    cost = training_cost(settings, TINY, devices=1)
    assert cost.memory[f"optimizer ({name})"] == sum(x.numel() * 4 for x in kept)


def test_the_command_prints_the_cost_without_shards_output_or_model(tmp_path: Path) -> None:
    arguments = ["train", "--preset", "scenes", *tiny.assignments(), "--dry-run", "--cost"]
    result = CliRunner().invoke(cli, [*arguments, "--tflops", "1", "--utilisation", "0.5"])
    assert result.exit_code == 0, result.output
    for words in ("parameters: ", "weights: ", "gradients: ", "optimizer (muon): ", "together: ",
                  "with gradient checkpointing", "16 x 8 x 8 latents", "step of 4 samples",
                  "5 steps: ", "hours on 1 x 1 TFLOP/s at 50%"):  # fmt: skip
        assert words in result.stdout
    shards = tiny.tiny_shards(tmp_path / "shards", 4)
    result = CliRunner().invoke(cli, [*arguments, str(shards.folder)])
    assert "3 x 2 x 2 latents" in result.stdout, result.output
    assert not (tmp_path / "run").exists()


def test_without_shards_the_scenes_preset_has_the_latents_of_the_bundled_model() -> None:
    index, stride = read_index(BUNDLED), downsampling_factor(load_vae(BUNDLED))
    height, width = (index[f"sample_{side}"] // stride for side in ("height", "width"))
    assert LATENTS["scenes"] == (index["sample_frames"], height, width)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cost"], "--cost goes with --dry-run"),
        (["--dry-run"], "Missing argument 'SHARDS'"),
        (["--dry-run", "--cost", "--devices", "3"], "multiple of micro_batch x processes"),
    ],
)
def test_a_cost_that_cannot_be_told_is_refused(arguments: list[str], message: str) -> None:
    given = ["train", "--preset", "scenes", *tiny.assignments(), *arguments]
    result = CliRunner().invoke(cli, given)
    assert result.exit_code
    assert message in result.stderr + str(result.exception)
