"""A run that is broken off anywhere and begun again is the run that never broke, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from train_command import arguments, fast_forward, invoke

from motifocal.cli.output import training_samples as training_report
from motifocal.data.shards import Shards
from motifocal.training.checkpoint import (
    latest_step,
    list_checkpoints,
    load_checkpoint,
    mixed_seed,
    save_checkpoint,
)
from motifocal.training.inputs import lock_inputs
from motifocal.training.log import read_log
from motifocal.training.loop import train
from motifocal.training.presets import RENAMED

PLAIN: dict[str, Any] = {"optimizer": "muon"}
ACCUMULATED: dict[str, Any] = {"optimizer": "adamw", "micro_batch": 2, "precision": "bf16"}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return tiny.tiny_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def unbroken(base: Path, shards: Shards, tmp_path_factory: pytest.TempPathFactory):
    """The weights without a break, for each kind of run, computed once."""
    made: dict[str, dict[str, torch.Tensor]] = {}

    def weights_of(changed: dict[str, Any]) -> dict[str, torch.Tensor]:
        key = json.dumps(changed)
        if key not in made:
            run = tiny.tiny_run(tmp_path_factory.mktemp("unbroken"), base, shards, **changed)
            list(train(run))
            made[key] = tiny.weights(run)
        return made[key]

    return weights_of


@pytest.mark.parametrize(
    ("changed", "breaks"), [(PLAIN, [1, 2, 3]), (ACCUMULATED, [3])],
    ids=["muon", "accumulated bf16"],
)  # fmt: skip
def test_a_run_broken_off_and_begun_again_gives_the_same_weights(
    changed: dict[str, Any], breaks: list[int], base: Path, shards: Shards, tmp_path: Path, unbroken
) -> None:
    for stop in breaks:
        run = tiny.tiny_run(tmp_path, base, shards, **changed)
        for line in train(run):
            if line["step"] == stop:
                break
    run = tiny.tiny_run(tmp_path, base, shards, **changed)
    assert run.step == 2 * (breaks[-1] // 2)
    list(train(run))
    assert tiny.equal(tiny.weights(run), unbroken(changed))


def test_a_longer_run_goes_on_from_a_shorter_one_with_a_constant_rate(
    base: Path, shards: Shards, tmp_path: Path, unbroken
) -> None:
    list(train(tiny.tiny_run(tmp_path, base, shards, steps=4, **PLAIN)))
    run = tiny.tiny_run(tmp_path, base, shards, **PLAIN)
    assert run.step == 4
    list(train(run))
    assert tiny.equal(tiny.weights(run), unbroken(PLAIN))


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"learning_rate": 1e-3}, "learning_rate"), ({"seed": 9}, "seed"),
     ({"micro_batch": 1}, "micro_batch"),
     ({"unet": {**tiny.UNET, "temporal_dropout": 0.0}}, "temporal_dropout"),
     ({"cooldown": 4}, "cooldown")],
)  # fmt: skip
def test_a_run_does_not_go_on_with_other_settings(
    changed: dict[str, Any], named: str, base: Path, shards: Shards, tmp_path: Path
) -> None:
    fast_forward(tmp_path, base, shards)
    with pytest.raises(ValueError, match=rf"training.json says {named} \S+ \(not \S+\); use"):
        tiny.tiny_run(tmp_path, base, shards, **changed)


def test_a_run_that_cools_down_cannot_be_made_longer(
    base: Path, shards: Shards, tmp_path: Path
) -> None:
    changed = {"warmup": 1, "cooldown": 4}
    fast_forward(tmp_path, base, shards, steps=5, **changed)
    with pytest.raises(ValueError, match=r"says steps 5 \(not 8\)"):
        tiny.tiny_run(tmp_path, base, shards, steps=8, **changed)


def test_a_run_that_warms_up_can_be_made_longer_whatever_its_cooldown(
    base: Path, shards: Shards, tmp_path: Path, unbroken
) -> None:
    changed = {**PLAIN, "warmup": 2, "cooldown": 9}
    for line in train(tiny.tiny_run(tmp_path, base, shards, steps=3, **changed)):
        if line["step"] == 2:
            break
    run = tiny.tiny_run(tmp_path, base, shards, **changed)
    assert run.step == 2
    list(train(run))
    assert tiny.equal(tiny.weights(run), unbroken(changed))


def test_how_often_a_run_saves_may_change(base: Path, shards: Shards, tmp_path: Path) -> None:
    fast_forward(tmp_path, base, shards)
    run = tiny.tiny_run(tmp_path, base, shards, save_every=5, sample_every=7)
    assert (run.step, run.settings.save_every) == (2, 5)


def test_before_the_first_checkpoint_settings_may_change(
    base: Path, shards: Shards, tmp_path: Path
) -> None:
    tiny.tiny_run(tmp_path, base, shards)
    assert tiny.tiny_run(tmp_path, base, shards, learning_rate=1e-3).settings.learning_rate == 1e-3


def test_a_run_goes_on_from_the_older_checkpoint_when_the_newest_is_cut_off(
    shards_folder: Path, base: Path, tmp_path: Path, unbroken
) -> None:
    given = arguments(shards_folder, tmp_path, base, **PLAIN)
    assert invoke(*given, "--samples", "0").exit_code == 0
    newest = list_checkpoints(tmp_path / "checkpoints")[-1]
    os.truncate(newest, newest.stat().st_size - 100)
    (newest.parent / ".0123456789abcdef.tmp").write_bytes(b"left by a kill")
    result = invoke(*given, "--samples", "0")
    assert result.exit_code == 0, result.output
    assert f"{newest} is damaged (" in result.stderr
    assert "taking step-00000004.pt instead" in result.stderr
    assert "resuming at step 4" in result.stderr
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == list(range(1, 6))
    assert same_as(tmp_path, unbroken(PLAIN))
    assert not list(newest.parent.glob(".*"))


def test_seeds_of_steps_and_of_their_parts_differ() -> None:
    seeds = {mixed_seed(seed, step) for seed in range(9) for step in range(99)}
    parts = {mixed_seed(0, step, 1 + part) for step in range(99) for part in range(8)}
    assert len(seeds | parts) == 9 * 99 + 99 * 8


def test_ctrl_c_saves_a_checkpoint_and_the_run_goes_on_to_the_same_weights(
    shards_folder: Path, base: Path, tmp_path: Path, unbroken, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = training_report.TrainingBar.show

    def show_and_interrupt(bar: training_report.TrainingBar, line: dict[str, float]) -> None:
        show(bar, line)
        if line["step"] == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(training_report.TrainingBar, "show", show_and_interrupt)
    given = arguments(shards_folder, tmp_path, base, sample_every=3, **PLAIN)
    held_out = ["--held-out", str(shards_folder), "--samples", "1"]
    handler = signal.getsignal(signal.SIGINT)
    result = invoke(*given, *held_out)
    assert result.exit_code == 130, result.output
    assert "saved at step 3; run the same command again" in result.stderr
    assert signal.getsignal(signal.SIGINT) is handler
    assert latest_step(tmp_path / "checkpoints") == 3
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1, 2, 3]

    # As if a kill had cut off the samples of step 3: they are made before the run goes on.
    (tmp_path / "samples/step-00000003.png").unlink()
    monkeypatch.undo()
    result = invoke(*given, *held_out)
    assert result.exit_code == 0, result.output
    assert "resuming at step 3" in result.stderr
    assert result.stdout.strip().endswith(str(tmp_path))
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == list(range(1, 6))
    assert [line["step"] for line in read_log(tmp_path / "held_out.jsonl")] == [3, 5]
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["step-00000003.png", "step-00000005.png"]
    assert list((tmp_path / "tensorboard").iterdir())
    assert same_as(tmp_path, unbroken(PLAIN))

    # So are those of the last step, which is no third one, its losses, and weights to be kept.
    (tmp_path / "samples/step-00000005.png").unlink()
    losses = (tmp_path / "held_out.jsonl").read_text()
    (tmp_path / "held_out.jsonl").write_text(losses.splitlines(keepends=True)[0])
    result = invoke(*given, *held_out, "--keep-every", "5")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "samples/step-00000005.png").is_file()
    assert (tmp_path / "held_out.jsonl").read_text() == losses
    assert (tmp_path / "kept/step-00000005/unet").is_dir()


def same_as(run: Path, expected: dict[str, torch.Tensor]) -> bool:
    """Whether the newest checkpoint of `run` holds these weights and averages."""
    state = load_checkpoint(run / "checkpoints")
    assert state is not None
    named = [name for name in expected if not name.startswith("average ")]
    averages = {f"average {n}": a for n, a in zip(named, state["average"]["shadow_params"],
                                                  strict=True)}
    return tiny.equal(averages | {name: state["unet"][name] for name in named}, expected)


def test_a_run_that_stored_old_names_of_settings_goes_on_and_stores_the_new_ones(
    base: Path, shards: Shards, tmp_path: Path, unbroken
) -> None:
    run = tiny.tiny_run(tmp_path, base, shards, **PLAIN)
    for line in train(run):
        if line["step"] == 3:
            break
    path = tmp_path / "training.json"
    now = path.read_text()
    before = now
    for old, name in RENAMED.items():
        before = before.replace(f'"{name}"', f'"{old}"')
    path.write_text(before)
    with pytest.warns(DeprecationWarning, match="the old name will go") as warned:
        run = tiny.tiny_run(tmp_path, base, shards, **PLAIN)
    assert {str(w.message) for w in warned} == {
        f"the setting {old} is now {name}; the old name will go" for old, name in RENAMED.items()}
    assert (run.step, path.read_text()) == (2, now)
    list(train(run))
    assert tiny.equal(tiny.weights(run), unbroken(PLAIN))


def test_a_run_of_an_earlier_version_goes_on(
    shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    lock_inputs(tmp_path, Shards(shards_folder), base)
    save_checkpoint(tmp_path / "checkpoints", 1, {})
    kept = json.loads((tmp_path / "inputs.json").read_text())
    earlier = {key: kept[key] for key in ("shards", "text_encoder", "clip")}
    (tmp_path / "inputs.json").write_text(json.dumps(earlier))
    lock_inputs(tmp_path, Shards(shards_folder), base)
    assert json.loads((tmp_path / "inputs.json").read_text()) == kept


def begin(shards: Path, run: Path, base: Path, changed: dict[str, Any]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    given = arguments(shards, run, base, save_every=1, **changed)
    command = [sys.executable, "-m", "motifocal", *given, "--samples", "0"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def wait_for_step(process: subprocess.Popen[bytes], run: Path, step: int) -> None:
    deadline = time.monotonic() + 240
    while latest_step(run / "checkpoints") < step:
        assert process.poll() is None, "the training ended before its time"
        assert time.monotonic() < deadline, f"step {step} should have come by now"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [PLAIN, ACCUMULATED], ids=["muon", "accumulated bf16"])
def test_a_killed_process_begun_again_gives_the_weights_of_the_unbroken_run(
    changed: dict[str, Any], shards_folder: Path, base: Path, tmp_path: Path, unbroken
) -> None:
    process = begin(shards_folder, tmp_path, base, changed)
    try:
        wait_for_step(process, tmp_path, 2)
        # Where that falls differs from machine to machine; what has to hold does not.
        time.sleep(random.Random(f"{changed}").uniform(0, 0.3))
    finally:
        process.kill()
        assert process.wait() in (-signal.SIGKILL, 0)
    result = invoke(*arguments(shards_folder, tmp_path, base, **changed), "--samples", "0")
    assert result.exit_code == 0, result.output
    assert "resuming at step" in result.stderr
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == list(range(1, 6))
    assert same_as(tmp_path, unbroken(changed))


@pytest.mark.slow
def test_a_terminated_process_saves_and_exits_with_143(
    shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    process = begin(shards_folder, tmp_path, base, {"steps": 100_000})
    try:
        wait_for_step(process, tmp_path, 1)
        process.terminate()
        assert process.wait(120) == 143
    finally:
        process.kill()
        process.wait()
    lines = read_log(tmp_path / "log.jsonl")
    assert lines[-1]["step"] == latest_step(tmp_path / "checkpoints")
