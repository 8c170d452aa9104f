"""What a fine-tuning goes on with: base weights by content, its own file, what a kill came before.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_ltx2_lora_to_diffusers
from diffusers.loaders.single_file_utils import (
    convert_ltx_transformer_checkpoint_to_diffusers,
    convert_wan_transformer_to_diffusers,
)
from safetensors.torch import load_file, save_file
from tiny_diffusers import tiny_pipeline
from tiny_finetune import (
    invoke,
    losses_of,
    prepare_arguments,
    prepared,
    same,
    train_arguments,
    weights_of,
)
from torch import nn

from motifocal.cli.finetune import train as command
from motifocal.files.toml_text import parse_toml
from motifocal.motion.heatmap import HeatmapSettings
from motifocal.training.checkpoint import latest_step
from motifocal.training.families.ltx import LTX
from motifocal.training.families.ltx2 import LTX2
from motifocal.training.families.registry import family_of
from motifocal.training.families.wan import SkyReelsV2, Wan21
from motifocal.training.finetune import parts
from motifocal.training.finetune.adapter import original_keys
from motifocal.training.finetune.cache import CacheSettings
from motifocal.training.finetune.parts import base_digest
from motifocal.training.finetune.validate import HeldOut
from motifocal.training.log import TrainingLog, read_log

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The folder of all, a tiny TI2V-5B, and its cache."""
    folder = tmp_path_factory.mktemp("made")
    return folder, *prepared("wan22-5b", folder)


@pytest.fixture(scope="module")
def begun(made: tuple[Path, Path, Path]) -> Path:
    """A run of one step."""
    folder, model, cache = made
    result = invoke(*train_arguments(cache, folder / "begun", model, steps=1))
    assert result.exit_code == 0, result.output
    return folder / "begun"


# The model.


def test_a_run_does_not_go_on_with_another_base(
    made: tuple[Path, Path, Path], begun: Path, tmp_path: Path
) -> None:
    _, model, cache = made
    run = shutil.copytree(begun, tmp_path / "run")
    other = shutil.copytree(model, tmp_path / "other")
    tensors = load_file(other / WEIGHTS)
    tensors["blocks.0.ffn.net.2.weight"] += 0.5
    save_file(tensors, other / WEIGHTS, {"format": "pt"})
    refused = invoke(*train_arguments(cache, run, other, steps=2))
    assert isinstance(refused.exception, ValueError)
    assert "inputs.json says other base" in str(refused.exception)
    # So is one whose schedule, and with it the noise levels, is another.
    shutil.copy(model / WEIGHTS, other / WEIGHTS)
    scheduler = other / "scheduler/scheduler_config.json"
    config = json.loads(scheduler.read_text())
    scheduler.write_text(json.dumps({**config, "flow_shift": 7.5, "shift": 7.5}))
    refused = invoke(*train_arguments(cache, run, other, steps=2))
    assert "inputs.json says other base" in str(refused.exception)


def test_a_model_is_the_same_by_another_name(
    made: tuple[Path, Path, Path], begun: Path, tmp_path: Path
) -> None:
    folder, model, cache = made
    run, elsewhere = shutil.copytree(begun, tmp_path / "run"), tmp_path / "elsewhere"
    elsewhere.symlink_to(model)
    again = invoke(*prepare_arguments("wan22-5b", folder / "clips", cache, elsewhere))
    assert again.exit_code == 0, again.output
    result = invoke(*train_arguments(cache, run, elsewhere, steps=2))
    assert result.exit_code == 0, result.output
    assert "resuming at step 1" in result.output


def test_every_tensor_and_every_setting_counts_in_the_digest_of_a_base(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, _ = made
    family, other = family_of(model), tmp_path / "model"
    before = base_digest(model, family, "transformer")
    (other / "transformer").mkdir(parents=True)
    tensors = load_file(model / WEIGHTS)
    for name in list(tensors)[::7]:
        changed = {**tensors, name: tensors[name] + 1}
        save_file(changed, other / WEIGHTS, {"format": "pt"})
        assert base_digest(other, family, "transformer") != before, name
    save_file(tensors, other / WEIGHTS, {"format": "pt"})
    renamed = type(family)({**family.index, "_diffusers_version": "0"}, family.configs)
    assert base_digest(other, renamed, "transformer") == before
    shifted = type(family)({**family.index, "boundary_ratio": 0.5}, family.configs)
    assert base_digest(other, shifted, "transformer") != before


def test_the_encoders_are_hashed_once_for_the_cache_and_the_held_out_one(
    made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, model, cache = made
    counted, digest_of = [], parts.digest_of

    def counting(*given: Any) -> str:
        counted.append(given)
        return digest_of(*given)

    monkeypatch.setattr(parts, "digest_of", counting)
    result = invoke(*train_arguments(cache, tmp_path, model, "--held-out", str(cache), "--dry-run"))
    assert result.exit_code == 0, result.output
    assert len(counted) == 1


def test_weights_of_raft_are_known_by_their_bytes(tmp_path: Path) -> None:
    for name, content in (("a.pth", b"1"), ("b.pth", b"1"), ("c.pth", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (CacheSettings("m", "f", "w", "float32", 5, 64, 64, 16.0, 1, HeatmapSettings(
               source="raft-small", raft_weights=str(tmp_path / name))).facts
               for name in ("a.pth", "b.pth", "c.pth"))  # fmt: skip
    assert a == b
    assert a["heatmap"]["raft_weights"] != c["heatmap"]["raft_weights"]
    plain = CacheSettings("m", "f", "w", "float32", 5, 64, 64, 16.0, 1, HeatmapSettings())
    assert plain.facts["heatmap"]["raft_weights"] is None


# The file of a run.


def test_a_run_from_its_own_file_equals_the_first_bit_for_bit(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    first = tmp_path / "first"
    result = invoke(*train_arguments(cache, first, model, "--held-out", str(cache), steps=2,
                                     lora_targets=["to_q", "to_v"]))  # fmt: skip
    assert result.exit_code == 0, result.output
    values = parse_toml((first / "run.toml").read_text())
    assert (values["output"], values["lora_rank"], values["steps"]) == (".", 4, 2)
    assert (values["full"], values["fsdp"], values["samples"]) == (False, False, 0)
    again = tmp_path / "again"
    result = invoke("train", "--config", first / "run.toml", "-o", again)
    assert result.exit_code == 0, result.output
    assert losses_of(again) == losses_of(first)
    assert same(weights_of(again), weights_of(first))
    assert (again / "held_out.jsonl").read_bytes() == (first / "held_out.jsonl").read_bytes()
    assert invoke("train", "--config", first / "run.toml").exit_code == 0


def test_the_command_line_counts_more_than_the_file_of_a_fine_tuning(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    file = tmp_path / "my.toml"
    text = (f'shards = "{cache}"\nmodel = "{model}"\noutput = "run"\nsteps = 5\nsamples = 0\n'
            'log_with = []\ndevice = "cpu"\nprecision = "float32"\n')  # fmt: skip

    def settings(more: str, *given: str) -> dict[str, Any]:
        file.write_text(text + more)
        result = invoke("train", "--config", file, "--dry-run", *given)
        assert result.exit_code == 0, result.output
        kept: dict[str, Any] = json.loads((tmp_path / "run/finetune.json").read_text())
        return kept

    assert settings("lora_rank = 8\nmotif_weight = 0.5\n")["lora_rank"] == 8
    assert settings("lora_rank = 8\nmotif_weight = 0.5\n")["motif_weight"] == 0.5
    assert settings("lora_rank = 8\n", "--lora", "2", "--set", "steps=6")["lora_rank"] == 2
    assert settings("lora_rank = 8\n", "--full")["lora_rank"] is None
    assert settings("full = true\n")["lora_rank"] is None
    assert parse_toml((tmp_path / "run/run.toml").read_text())["full"] is True
    assert settings("full = true\n", "--lora", "2")["lora_rank"] == 2
    assert settings("motif_weight = 0.5\n", "--motif-weight", "2")["motif_weight"] == 2
    file.write_text(text + "text_dropout = 0.5\n")
    refused = invoke("train", "--config", file, "--dry-run")
    assert "there is no setting 'text_dropout'" in str(refused.exception)


# What is measured, and what a signal or a kill came before.


def test_what_is_no_number_is_null_in_the_files_of_a_run(tmp_path: Path) -> None:
    sums = torch.tensor([[[[2.0, 4.0], [0.0, 0.0]]], [[[1.0, 1.0], [torch.nan, 2.0]]]])
    line = HeldOut(sums.repeat(1, 5, 1, 1).double()).line()
    assert line["static"] == pytest.approx(0.6)
    assert line["moving"] is None
    still = HeldOut(sums[:1].repeat(1, 5, 1, 1).double())
    assert (still.line()["held_out"], still.line()["moving"]) == (0.5, None)
    assert still.of_clips() == {"static": [0.5], "moving": [None]}
    with TrainingLog(tmp_path / "log.jsonl", 0) as log:
        log.write({"step": 1, "loss": float("nan"), "moving": None, "norm": float("inf")})
    assert read_log(tmp_path / "log.jsonl") == [
        {"step": 1, "loss": None, "moving": None, "norm": None}]  # fmt: skip


def test_a_run_whose_held_out_clips_stand_still_goes_on(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    still = shutil.copytree(cache, tmp_path / "still")
    for path in (still / "clips").iterdir():
        tensors = load_file(path)
        save_file({**tensors, "weight": torch.zeros_like(tensors["weight"])}, path)
    for steps in (1, 2):
        result = invoke(*train_arguments(cache, tmp_path / "run", model, "--held-out", str(still),
                                         steps=steps))  # fmt: skip
        assert result.exit_code == 0, result.output
        assert "moving none" in result.output
    lines = read_log(tmp_path / "run/held_out.jsonl")
    assert [line["moving"] for line in lines] == [None, None]


@pytest.mark.slow
def test_a_signal_at_the_last_step_of_an_expert_ends_the_run_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, cache = prepared("wan22-a14b", tmp_path)
    arguments = train_arguments(cache, tmp_path / "run", model, steps=1)

    def interrupted(*given: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(command, "validate", interrupted)
        result = invoke(*arguments)
    assert result.exit_code == 130
    assert "saved; run the same command again to resume" in result.output
    assert latest_step(tmp_path / "run/transformer/checkpoints") == 1
    assert latest_step(tmp_path / "run/transformer_2/checkpoints") == 0
    assert (tmp_path / "run/lora/pytorch_lora_weights.safetensors").is_file()
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert "transformer is trained already" in result.output
    # A kill between the last checkpoint and the LoRA's file: it is written when the run goes on.
    lora = tmp_path / "run/lora/pytorch_lora_weights.safetensors"
    whole = load_file(lora)
    lora.unlink()
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert same(load_file(lora), whole)
    assert "transformer_2 is trained already" in result.output


# The original names.


@pytest.mark.parametrize(
    ("kind", "family", "convert"),
    [
        ("wan21", Wan21, convert_wan_transformer_to_diffusers),
        ("skyreels", SkyReelsV2, convert_wan_transformer_to_diffusers),
        ("ltx", LTX, convert_ltx_transformer_checkpoint_to_diffusers),
        ("ltx2", LTX2, None),
    ],
)
def test_a_lora_on_any_layer_has_the_original_name_that_diffusers_reads_back(
    kind: str, family: Any, convert: Any
) -> None:
    transformer = tiny_pipeline(kind).transformer
    ours = {f"transformer.{name}.lora_A.weight": torch.ones(1) for name, module
            in transformer.named_modules() if isinstance(module, nn.Linear)}  # fmt: skip
    original = original_keys(ours, family.original_names, 2, 2)
    if convert is None:
        assert _convert_non_diffusers_ltx2_lora_to_diffusers(original).keys() == ours.keys()
        return
    stored = {name.removeprefix("diffusion_model."): value for name, value in original.items()}
    back = {f"transformer.{name}" for name in convert(stored)}
    assert back == ours.keys()
    assert len(original) == len(ours) > len(family.lora_targets)
