"""A run that is broken off anywhere and begun again is the run that never broke, bit for bit."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from click.testing import CliRunner, Result

from motifocal import cli
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
from motifocal.training.run_folder import load_clip_size, load_settings

PLAIN: dict[str, Any] = {"optimizer": "muon"}
ACCUMULATED: dict[str, Any] = {"optimizer": "adamw", "micro_batch": 2, "precision": "bf16"}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return tiny.tiny_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def shards_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    tiny.tiny_shards(folder)
    return folder


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


# In one process: broken off after any number of steps.


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


def fast_forward(folder: Path, base: Path, shards: Shards, **changed: Any) -> None:
    """A run in `folder` that stands at step 2, without the work."""
    from motifocal.training.loop import save

    run = tiny.tiny_run(folder, base, shards, **changed)
    run.step = 2
    save(run)


def test_a_run_that_cools_down_cannot_be_made_longer(
    base: Path, shards: Shards, tmp_path: Path
) -> None:
    fast_forward(tmp_path, base, shards, steps=5, cooldown=4)
    with pytest.raises(ValueError, match=r"says steps 5 \(not 8\)"):
        tiny.tiny_run(tmp_path, base, shards, steps=8, cooldown=4)


def test_how_often_a_run_saves_may_change(base: Path, shards: Shards, tmp_path: Path) -> None:
    fast_forward(tmp_path, base, shards)
    run = tiny.tiny_run(tmp_path, base, shards, save_every=5, sample_every=7)
    assert (run.step, run.settings.save_every) == (2, 5)


def test_before_the_first_checkpoint_settings_may_change(
    base: Path, shards: Shards, tmp_path: Path
) -> None:
    tiny.tiny_run(tmp_path, base, shards)
    assert tiny.tiny_run(tmp_path, base, shards, learning_rate=1e-3).settings.learning_rate == 1e-3


# Checkpoint files.


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


# The command.


def arguments(shards: Path, run: Path, base: Path, **changed: Any) -> list[str]:
    return ["train", str(shards), "-o", str(run), "--model", str(base), "--preset", "scenes",
            "--device", "cpu", *tiny.assignments(**changed)]  # fmt: skip


def invoke(*given: str) -> Result:
    tiny.fresh_accelerator()
    return CliRunner().invoke(cli.cli, given)


def test_a_dry_run_prints_and_writes_the_settings_and_nothing_else(
    shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    given = arguments(shards_folder, tmp_path / "run", base, learning_rate=0.25)
    result = invoke(*given, "--dry-run")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["run.toml", "training.json"]
    stored = json.loads((tmp_path / "run/training.json").read_text())
    printed, _, place = result.stdout.strip().rpartition("\n")
    assert json.loads(printed) == stored
    assert place == str(tmp_path / "run/training.json")
    assert (stored["learning_rate"], stored["unet"]["head_width"]) == (0.25, 4)


@pytest.mark.parametrize(
    ("extra", "message"),
    [(["--set", "stepz=4"], "there is no setting 'stepz'"),
     (["--set", "unet.width=4"], "there is no setting 'unet.width'"),
     (["--set", "learning_rate=fast"], "learning_rate should be a valid number"),
     (["--set", "global_batch=6"], "multiple of micro_batch"),
     (["--set", "unet.cross_attention_dim=12"], "text encoder should be 12 wide, got 8")],
)  # fmt: skip
def test_a_wrong_setting_is_named_before_anything_is_written(
    extra: list[str], message: str, shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    result = invoke(*arguments(shards_folder, tmp_path / "run", base), *extra)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_an_assignment_without_an_equals_sign_names_the_option(
    shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    result = invoke(*arguments(shards_folder, tmp_path, base), "--set", "steps")
    assert result.exit_code == 2
    assert "--set" in result.stderr


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


def test_other_shards_or_another_text_encoder_are_refused(
    shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    given = arguments(shards_folder, tmp_path / "run", base, steps=2)
    assert invoke(*given, "--samples", "0").exit_code == 0
    tiny.tiny_shards(tmp_path / "other", seed=4)
    result = invoke(*arguments(tmp_path / "other", tmp_path / "run", base, steps=2))
    assert "inputs.json says other shards, other clips; use the same" in str(result.exception)


@pytest.mark.parametrize(
    ("named", "file"),
    [("clips", "shards/shard-00001.safetensors"), ("tokenizer", "base/tokenizer/tokenizer.json"),
     ("text_encoder_config", "base/text_encoder/config.json")],
)  # fmt: skip
def test_inputs_that_changed_in_their_place_are_refused(
    named: str, file: str, shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    shutil.copytree(shards_folder, tmp_path / "shards")
    shutil.copytree(base, tmp_path / "base")
    run, changed = tmp_path / "run", tmp_path / file
    lock_inputs(run, Shards(tmp_path / "shards"), tmp_path / "base")
    save_checkpoint(run / "checkpoints", 1, {})
    lock_inputs(run, Shards(tmp_path / "shards"), tmp_path / "base")
    if changed.suffix == ".json":
        changed.write_text(changed.read_text() + "\n")
    else:
        other = tiny.tiny_shards(tmp_path / "other", seed=4)
        shutil.copy(other.folder / changed.name, changed)
    with pytest.raises(ValueError, match=f"inputs.json says other {named}; use"):
        lock_inputs(run, Shards(tmp_path / "shards"), tmp_path / "base")


@pytest.mark.parametrize("name", ["training.json", "inputs.json"])
@pytest.mark.parametrize("text", ["", '{"steps": 4, "ra', "[1]", "{}", "[" * 100_000, "\xff"])
def test_a_damaged_note_of_a_run_is_named(
    name: str, text: str, shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    fast_forward(tmp_path, base, Shards(shards_folder))
    lock_inputs(tmp_path, Shards(shards_folder), base)
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    readers: dict[str, list[Any]] = {
        "training.json": [lambda: tiny.tiny_run(tmp_path, base, Shards(shards_folder)),
                          lambda: load_settings(tmp_path)],
        "inputs.json": [lambda: load_clip_size(tmp_path)],
    }  # fmt: skip
    if (name, text) != ("inputs.json", "{}"):  # that is a run of an earlier version
        readers["inputs.json"].append(lambda: lock_inputs(tmp_path, Shards(shards_folder), base))
    for read in readers[name]:
        note = re.escape(str(tmp_path / name))
        with pytest.raises(ValueError, match=rf"^{note} should (hold|be JSON)"):
            read()


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


def test_a_loss_that_is_not_finite_ends_the_command_with_its_line(
    shards_folder: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    batch = Shards.batch

    def spoilt(shards: Shards, *given: Any) -> Any:
        made = batch(shards, *given)
        made.latents[0] = torch.inf
        return made

    monkeypatch.setattr(Shards, "batch", spoilt)
    monkeypatch.setattr(sys, "argv", ["motifocal", *arguments(shards_folder, tmp_path, base)])
    tiny.fresh_accelerator()
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.match(r"motifocal: loss is not finite at step 0 \(t=\d+ '.*'\)", last)
    assert latest_step(tmp_path / "checkpoints") == 0


# Real processes, really killed.


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
