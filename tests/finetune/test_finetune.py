"""From a cache of clips to a LoRA: train, kill, go on, compare, load, animate."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_diffusers import TINY, tiny_pipeline
from tiny_finetune import (
    CLIPS,
    invoke,
    losses_of,
    prepared,
    same,
    train_arguments,
    weights_of,
)

from motifocal.cli.finetune.ab_page import CLIP_LOSSES, write_ab_page
from motifocal.generate.diffusers_lora import load_lora
from motifocal.media.video import write_image
from motifocal.training.checkpoint import latest_step
from motifocal.training.families.ltx2 import LTX2
from motifocal.training.families.registry import family_of
from motifocal.training.finetune.adapter import trained_weights
from motifocal.training.finetune.cache import ClipCache
from motifocal.training.finetune.memory import first_that_fits, rungs, sizes_of
from motifocal.training.finetune.parts import load_trained
from motifocal.training.finetune.run import check_rates, make_trainable
from motifocal.training.finetune.settings import finetune_settings
from motifocal.training.log import read_log

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WAN = ("wan22-5b", "wan21", "wan22-a14b", "skyreels")
OTHERS = (
    "ltx", "ltx-condition", "cogvideox", "cogvideox15", "hunyuan", "hunyuan-33ch", "hunyuan15",
    "ltx2", "kandinsky5",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The folder of all, a tiny TI2V-5B, and its cache."""
    folder = tmp_path_factory.mktemp("made")
    return folder, *prepared("wan22-5b", folder)


@pytest.fixture(scope="module")
def trained(made: tuple[Path, Path, Path]) -> Path:
    """An unbroken run of three steps."""
    folder, model, cache = made
    result = invoke(*train_arguments(cache, folder / "run", model))
    assert result.exit_code == 0, result.output
    return folder / "run"


# Training.


def test_options_of_the_other_kind_of_model_are_refused(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    result = invoke(*train_arguments(cache, tmp_path / "run", model, "--preset", "paper"))
    assert result.exit_code == 2
    assert "--preset is not for models of diffusers" in result.output
    result = invoke("train", cache, "-o", tmp_path / "run", "--model", cache, "--lora", "4")
    assert result.exit_code == 2
    assert "--lora is for models of diffusers" in result.output


def test_a_run_that_goes_on_has_the_losses_and_weights_of_the_unbroken_one(
    made: tuple[Path, Path, Path], trained: Path, tmp_path: Path
) -> None:
    _, model, cache = made
    for steps in (1, 3):
        result = invoke(*train_arguments(cache, tmp_path, model, steps=steps))
        assert result.exit_code == 0, result.output
    assert losses_of(tmp_path) == losses_of(trained)
    assert same(weights_of(tmp_path), weights_of(trained))
    changed = invoke(*train_arguments(cache, tmp_path, model, steps=4, motif_weight=0.5))
    assert "motif_weight 1.0 (not 0.5)" in str(changed.exception)


def test_every_weight_can_be_trained_and_settings_be_kept_without_training(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    arguments = train_arguments(cache, tmp_path, model, "--full", steps=1)
    lora = arguments.index("--lora")
    del arguments[lora : lora + 2]
    result = invoke(*arguments, "--dry-run")
    assert result.exit_code == 0, result.output
    kept = json.loads((tmp_path / "finetune.json").read_text())
    assert (kept["lora_rank"], kept["steps"]) == (None, 1)
    assert not (tmp_path / "checkpoints").exists()
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    before = load_file(model / "transformer/diffusion_pytorch_model.safetensors")
    after = load_file(tmp_path / "full/transformer/diffusion_pytorch_model.safetensors")
    assert before.keys() == after.keys()
    assert all((before[name] != after[name]).any() for name in before)


def test_clips_of_several_rates_are_no_micro_batch_of_a_model_that_is_told_the_rate(
    made: tuple[Path, Path, Path]
) -> None:
    _, model, folder = made
    cache = ClipCache(folder)
    cache.clips[0] = replace(cache.clips[0], fps=24.0)
    two = finetune_settings({"model": "tiny", "micro_batch": 2, "global_batch": 2})
    with pytest.raises(ValueError, match=r"micro_batch should be 1 .* clips of 16, 24 frames/s"):
        check_rates(two, LTX2({}, {}), cache)
    check_rates(two, family_of(model), cache)
    check_rates(two.model_copy(update={"micro_batch": 1}), LTX2({}, {}), cache)


def begin(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "motifocal", *arguments],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_what_the_unbroken_one_computes(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    long: dict[str, Any] = {"steps": 40, "ema_decay": 0.9}
    process = begin(train_arguments(cache, tmp_path / "killed", model, **long))
    try:
        deadline = time.monotonic() + 240
        while latest_step(tmp_path / "killed" / "checkpoints") < 3:
            assert process.poll() is None, "the training ended before its time"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert 3 <= latest_step(tmp_path / "killed" / "checkpoints") < 40
    for name in ("killed", "whole"):
        result = invoke(*train_arguments(cache, tmp_path / name, model, **long))
        assert result.exit_code == 0, result.output
    assert losses_of(tmp_path / "killed") == losses_of(tmp_path / "whole")
    assert same(weights_of(tmp_path / "killed"), weights_of(tmp_path / "whole"))
    loras = [load_file(tmp_path / name / "lora/pytorch_lora_weights.safetensors")
             for name in ("killed", "whole")]  # fmt: skip
    assert same(*loras)


def test_held_out_losses_are_parted_by_motion_and_repeat_where_nothing_is_learnt(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    result = invoke(*train_arguments(cache, tmp_path, model, "--held-out", str(cache), steps=2,
                                     validate_every=1, learning_rate=1e-12, ema_decay=0.5))
    assert result.exit_code == 0, result.output
    first, second = read_log(tmp_path / "held_out.jsonl")
    assert (first["step"], second["step"]) == (1, 2)
    assert {"held_out", "moving", "static", "q0.1", "q0.9"} < first.keys()
    assert first["held_out"] == pytest.approx(second["held_out"], rel=1e-6)
    low, high = sorted((first["moving"], first["static"]))
    assert low <= first["held_out"] <= high


def test_what_a_kill_came_before_is_measured_when_the_run_goes_on(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    arguments = train_arguments(cache, tmp_path, model, "--held-out", str(cache), steps=1)
    assert invoke(*arguments).exit_code == 0
    files = tmp_path / "held_out.jsonl", tmp_path / "held_out_clips.json"
    whole = [file.read_text() for file in files]
    for file in files:  # as if killed between the last checkpoint and these
        file.unlink()
    assert invoke(*arguments).exit_code == 0
    assert [file.read_text() for file in files] == whole
    assert len(read_log(files[0])) == 1


def test_the_page_of_two_runs_shows_both_experts(tmp_path: Path) -> None:
    runs = {weight: tmp_path / f"motif-weight-{weight:g}" for weight in (0.0, 1.0)}
    for weight, run in runs.items():
        for part in ("transformer", "transformer_2"):
            (run / part).mkdir(parents=True)
            values = {"static": [2.0, 3.0], "moving": [1.0 + weight, None]}
            (run / part / CLIP_LOSSES).write_text(json.dumps(values))
    page = write_ab_page(tmp_path, runs, None).read_text()
    for part in ("transformer", "transformer_2"):
        assert f"where the clips move, {part}</td><td>1</td><td>2</td><td>+1</td>" in page
        assert (f"where they stand still, {part}</td><td>2.5 (2 to 3)</td><td>2.5 (2 to 3)</td>"
                "<td>+0 (+0 to +0)</td>") in page


@pytest.mark.slow
def test_videos_are_sampled_from_the_same_pictures_captions_and_seeds_each_time(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    for run, changed in ((tmp_path / "still", 1e-12), (tmp_path / "learns", 0.1)):
        result = invoke(*train_arguments(cache, run, model, "--samples", "1", steps=2,
                                         validate_every=1, sample_steps=2, learning_rate=changed))
        assert result.exit_code == 0, result.output
        first, second = ((run / f"samples/step-0000000{step}/0.mp4").read_bytes()
                         for step in (1, 2))  # fmt: skip
        assert (first == second) == (run.name == "still")
        page = (run / "samples/index.html").read_text()
        assert page.index("step-00000002/0.mp4") < page.index("step-00000001/0.mp4")
        assert ClipCache(cache).clips[0].caption in page


@pytest.mark.slow
def test_two_lambdas_are_trained_from_the_same_draws_and_set_side_by_side(
    made: tuple[Path, Path, Path], trained: Path, tmp_path: Path
) -> None:
    _, model, cache = made
    result = invoke(*train_arguments(cache, tmp_path, model, "--samples", "2", "--held-out",
                                     str(cache), "--motif-weight", "0,1", sample_steps=2))
    assert result.exit_code == 0, result.output
    assert losses_of(tmp_path / "motif-weight-1") == losses_of(trained)
    plain, focal = (losses_of(tmp_path / f"motif-weight-{weight}")[0] for weight in (0, 1))
    assert plain["diffusion"] == focal["diffusion"] == plain["loss"] < focal["loss"]
    page = (tmp_path / "ab.html").read_text()
    for weight in (0, 1):
        assert f"motif-weight-{weight}/samples/step-00000003/1.mp4" in page
    values = json.loads((tmp_path / "ab.json").read_text())
    assert {name: len(of_clips) for name, of_clips in values["1"].items()} == {
        "moving": CLIPS, "static": CLIPS, "motion": 2}  # fmt: skip
    difference = values["1"]["moving"][0] - values["0"]["moving"][0]
    assert difference != 0
    mean = (sum(values["1"]["moving"]) - sum(values["0"]["moving"])) / CLIPS
    assert f"<td>{mean:+.3g} (" in page


# What comes out.


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*WAN, *OTHERS])
def test_the_lora_loads_in_the_real_pipeline_and_changes_its_output(
    kind: str, made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    model, cache = made[1:] if kind == "wan22-5b" else prepared(kind, tmp_path)
    run = tmp_path / "run"
    result = invoke(*train_arguments(cache, run, model, steps=2, learning_rate=0.1))
    assert result.exit_code == 0, result.output
    pipe: Any = tiny_pipeline(kind)
    parts = family_of(model).trained
    before = {part: output_of(getattr(pipe, part)) for part in parts if kind in WAN}
    load_lora(pipe, run / "lora")
    for part in parts:
        loaded = {re.sub(r"\.default_\d\.", ".default.", name): weight
                  for name, weight in getattr(pipe, part).named_parameters() if "lora" in name}
        assert same(loaded, weights_of(run if len(parts) == 1 else run / part))
        if part in before:
            changed = output_of(getattr(pipe, part))
            assert torch.isfinite(changed).all()
            assert not torch.equal(before[part], changed)
    if kind != "wan22-5b":  # which has a test of its own below
        videos = {animated(kind, model, tmp_path), animated(kind, model, tmp_path, run / "lora")}
        if len(parts) == 2:
            shutil.copytree(run / "lora", tmp_path / "first", ignore=lambda *_: [parts[1]])
            videos.add(animated(kind, model, tmp_path, tmp_path / "first"))
        assert len(videos) == 1 + len(parts)


def output_of(transformer: Any) -> torch.Tensor:
    """What a transformer of Wan predicts for fixed inputs; `family_checks` has others."""
    generator = torch.Generator().manual_seed(0)
    channels, image = transformer.config.in_channels, transformer.config.image_dim
    with torch.no_grad():
        predicted: torch.Tensor = transformer.eval()(
            hidden_states=torch.randn(1, channels, 2, 4, 4, generator=generator),
            timestep=torch.tensor([500.0]),
            encoder_hidden_states=torch.randn(1, 7, 16, generator=generator),
            encoder_hidden_states_image=torch.randn(1, 17, 16) * 0 + 1 if image else None,
            return_dict=False,
        )[0]
    return predicted


def test_the_file_of_original_names_is_the_same_lora(trained: Path) -> None:
    from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_wan_lora_to_diffusers

    ours = load_file(trained / "lora/pytorch_lora_weights.safetensors")
    original = load_file(trained / "lora/comfyui.safetensors")
    assert "diffusion_model.blocks.0.self_attn.q.lora_A.weight" in original
    assert "diffusion_model.blocks.0.cross_attn.o.lora_B.weight" in original
    back = _convert_non_diffusers_wan_lora_to_diffusers(dict(original))
    assert same(back, ours)
    with safe_open(trained / "lora/comfyui.safetensors", "pt") as file:
        facts = json.loads(file.metadata()["motifocal"])
    assert facts["motif_weight"] == 1.0
    assert facts["clips"] == CLIPS
    assert facts["heatmap"]["floor"] == 0.05
    card = (trained / "lora/README.md").read_text()
    assert f"base_model: {facts['base_model']}" in card
    assert facts["data_sha256"] in card


def animated(kind: str, model: Path, folder: Path, *loras: Path) -> bytes:
    """The video that `animate` makes, with a LoRA or without."""
    (height, width), frames = TINY[kind]
    picture, video = folder / "picture.png", folder / f"{[place.name for place in loras]}.mp4"
    write_image(picture, np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    lora = [argument for place in loras for argument in ("--lora", place)]
    result = invoke("animate", picture, "it falls", "-o", video, "--model", model, "--frames",
                    frames, "--size", f"{height}x{width}", "--steps", "2", "--device", "cpu",
                    *lora)  # fmt: skip
    assert result.exit_code == 0, result.output
    return video.read_bytes()


@pytest.mark.slow
def test_animate_samples_with_the_lora(
    made: tuple[Path, Path, Path], trained: Path, tmp_path: Path
) -> None:
    _, model, _ = made
    plain = animated("wan22-5b", model, tmp_path)
    assert animated("wan22-5b", model, tmp_path, trained / "lora") != plain
    refused = invoke("animate", tmp_path / "picture.png", "it falls", "-o", tmp_path / "no.mp4",
                     "--lora", trained)  # fmt: skip
    assert refused.exit_code == 2
    assert "--lora is for models of diffusers" in refused.output


# Memory.


@pytest.mark.slow
def test_frozen_weights_stored_in_fp8_train_almost_the_same_lora(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    for storage in ("full", "fp8"):
        result = invoke(*train_arguments(cache, tmp_path / storage, model, storage=storage,
                                         precision="bfloat16"))
        assert result.exit_code == 0, result.output
    full, fp8 = (losses_of(tmp_path / storage) for storage in ("full", "fp8"))
    assert [line["loss"] for line in fp8] == pytest.approx([line["loss"] for line in full], rel=0.1)
    assert full != fp8


def test_the_first_weights_of_a_lora_do_not_depend_on_how_frozen_ones_are_stored(
    made: tuple[Path, Path, Path]
) -> None:
    _, model, _ = made
    family, first = family_of(model), []
    for storage, precision in (("full", "float32"), ("full", "bfloat16"), ("fp8", "bfloat16")):
        settings = finetune_settings({"model": "tiny", "lora_rank": 4, "storage": storage,
                                      "precision": precision})  # fmt: skip
        transformer = load_trained(model, family, "transformer", precision)
        make_trainable(transformer, settings, family)
        first.append({name: p.detach() for name, p in trained_weights(transformer).items()})
    assert any(weights.any() for weights in first[0].values())
    assert same(first[0], first[1])
    assert same(first[0], first[2])


def test_memory_takes_the_first_way_that_fits_and_names_a_length_where_none_does(
    made: tuple[Path, Path, Path]
) -> None:
    _, model, cache = made
    family, clips = family_of(model), ClipCache(cache)
    settings = finetune_settings({"model": "tiny", "lora_rank": 4})
    chosen, words = first_that_fits(settings, model, family, clips, 24.0)
    assert (chosen.storage, chosen.gradient_checkpointing) == ("full", True)
    assert "gradient checkpointing" in words
    with pytest.raises(ValueError, match=r"should be about \d+\.\d GB or more .* got 0.1; "):
        first_that_fits(settings, model, family, clips, 0.1)


def test_sizes_are_those_of_the_model_and_fp8_is_taken_where_bfloat16_does_not_fit(
    made: tuple[Path, Path, Path], trained: Path
) -> None:
    _, model, cache = made
    family, clips = family_of(model), ClipCache(cache)
    settings = finetune_settings({"model": "tiny", "lora_rank": 4})
    sizes = sizes_of(settings, model, family, "transformer", clips)
    whole = load_file(model / "transformer/diffusion_pytorch_model.safetensors")
    assert sizes.weights == sum(weight.numel() for weight in whole.values())
    assert sizes.trained == sum(weight.numel() for weight in weights_of(trained).values())
    (height, width), frames = TINY["wan22-5b"]
    assert sizes.tokens == (1 + (frames - 1) // 4) * (height // 32) * (width // 32)
    (full, fp8, *_) = (sizes.needed(rung) for rung, _ in rungs(settings))
    assert full - fp8 == sizes.weights
    wide = sizes.needed(settings.model_copy(update={"precision": "float32"}))
    assert wide - sizes.needed(settings) >= 2 * sizes.weights
    chosen, words = first_that_fits(settings, model, family, clips, (full + fp8) / 2e9)
    assert chosen.storage == "fp8"
    assert "fp8" in words


def test_the_step_of_the_published_shape_is_measured_where_it_can_be(
    capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(Path(__file__).parents[2] / "scripts/finetune_step.py"))
    script["main"](["--tiny", "--size", "64", "32", "--frames", "5", "--steps", "1"])
    found = json.loads(capsys.readouterr().out)
    assert found["flops"] > 0 < found["seconds"]
    assert (found["device"], found["peak_bytes"]) == ("cpu", None)
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit, match="an accelerator is needed"):
            script["main"]([])
