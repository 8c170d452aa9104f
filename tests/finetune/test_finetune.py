"""From a cache of clips to a LoRA: train, kill, go on, compare."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_finetune import CLIPS, invoke, losses_of, same, train_arguments, weights_of

from motifocal.cli.finetune.ab_page import CLIP_LOSSES, write_ab_page
from motifocal.training.checkpoint import latest_step
from motifocal.training.families.ltx2 import LTX2
from motifocal.training.families.registry import family_of
from motifocal.training.finetune.cache import ClipCache
from motifocal.training.finetune.run import check_rates
from motifocal.training.finetune.settings import finetune_settings
from motifocal.training.log import read_log

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


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


def test_every_weight_is_trained_at_a_tenth_of_the_rate_of_a_lora_where_none_is_given(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    full: dict[str, Any] = {"model": "tiny", "lora_rank": None}
    lora = finetune_settings({"model": "tiny"})
    assert finetune_settings(full).learning_rate == pytest.approx(lora.learning_rate / 10)
    assert finetune_settings({**full, "learning_rate": 1e-4}).learning_rate == 1e-4
    # A run of an earlier version, by the same command without a rate, goes on at the rate it had.
    arguments = train_arguments(cache, tmp_path, model, "--full", steps=1)
    for option in ("--lora", "learning_rate=0.01"):
        at = arguments.index(option)
        del arguments[at - (option != "--lora") : at + 1 + (option == "--lora")]
    assert invoke(*arguments, "--set", "learning_rate=1e-4").exit_code == 0
    result = invoke(*arguments, "--set", "steps=2")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "finetune.json").read_text())["learning_rate"] == 1e-4
    fresh = invoke(*arguments, "-o", tmp_path / "fresh", "--dry-run")
    assert fresh.exit_code == 0, fresh.output
    kept = json.loads((tmp_path / "fresh/finetune.json").read_text())
    assert (kept["lora_rank"], kept["learning_rate"]) == (None, 1e-5)


def test_the_shift_of_the_settings_decides_the_noise_and_is_written_into_the_lora(
    made: tuple[Path, Path, Path], trained: Path, tmp_path: Path
) -> None:
    _, model, cache = made
    for shift in (3.0, 8.0):
        result = invoke(*train_arguments(cache, tmp_path / f"{shift:g}", model, flow_shift=shift))
        assert result.exit_code == 0, result.output
    for run, shift in ((trained, 3.0), (tmp_path / "3", 3.0), (tmp_path / "8", 8.0)):
        assert (losses_of(run) == losses_of(trained)) == (shift == 3.0)
        with safe_open(run / "lora/pytorch_lora_weights.safetensors", "pt") as file:
            assert json.loads(file.metadata()["motifocal"])["flow_shift"] == shift
    changed = invoke(*train_arguments(cache, tmp_path / "8", model, flow_shift=5.0))
    assert "flow_shift 8.0 (not 5.0)" in str(changed.exception)
    with pytest.raises(ValueError, match="flow_shift should be left out for ltx-2"):
        LTX2({}, {}).with_flow_shift(5.0)


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
    # A clip without anything that moves has no loss there.
    differences = [one - none for one, none in zip(values["1"]["moving"], values["0"]["moving"],
                                                   strict=True) if one is not None]  # fmt: skip
    assert differences[0] != 0
    mean = sum(differences) / len(differences)
    assert f"<td>{mean:+.3g} (" in page
