"""`motifocal train`: a dry run, settings and inputs that are wrong, a loss that is not finite."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from train_command import arguments, invoke

from motifocal import cli
from motifocal.data.prepare import PrepareSettings, prepare
from motifocal.data.shards import Shards
from motifocal.data.sources import SceneClips
from motifocal.loss.latent_grid import LatentGeometry
from motifocal.models.schedule import ScaledDDIMScheduler, ddim_scheduler
from motifocal.models.unet import TI2VUNet
from motifocal.motion.heatmap import HeatmapSettings
from motifocal.training.checkpoint import latest_step
from motifocal.training.run_folder import fingerprint


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
    ("scheduler", "more", "said"),
    [(ddim_scheduler("epsilon", use_scale=True), (),
      "made for prediction_type=epsilon, zero_terminal_snr=false, use_scale=true; it is trained "
      "further with prediction_type=v_prediction, zero_terminal_snr=true, use_scale=false"),
     (ddim_scheduler("v_prediction"), (), "made for zero_terminal_snr=false; it is trained "
      "further with zero_terminal_snr=true"),
     (ddim_scheduler("v_prediction", True), (), ""),
     (ddim_scheduler("epsilon"), ("--fresh",), ""), (None, (), "")],
    ids=["noise", "signal", "same", "fresh", "none"],
)  # fmt: skip
def test_training_further_with_another_noise_schedule_is_said_in_a_line(
    scheduler: ScaledDDIMScheduler | None, more: tuple[str, ...], said: str, shards_folder: Path,
    base: Path, tmp_path: Path,
) -> None:
    model = Path(shutil.copytree(base, tmp_path / "model"))
    TI2VUNet.build(tiny.tiny_settings().unet).save_pretrained(model / "unet")
    if scheduler is not None:
        scheduler.save_pretrained(model / "scheduler")
    result = invoke(*arguments(shards_folder, tmp_path / "run", model), "--dry-run", *more)
    assert result.exit_code == 0, result.output
    notes = [line for line in result.stderr.splitlines() if "it is trained further" in line]
    assert notes == ([f"note: {model} was {said}"] if said else [])


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


@pytest.mark.parametrize(
    ("vae", "static", "message"),
    [({"channels": 6}, False, "latents should have 4 channels, got 6"),
     ({"seed": 9}, False, "the shards should come from the autoencoder in vae/, got another's"),
     ({}, True, "something should move in the first 2 clips, but nothing does")],
)  # fmt: skip
def test_held_out_clips_that_cannot_be_measured_are_refused_before_training(
    vae: dict[str, int], static: bool, message: str, shards_folder: Path, base: Path,
    tmp_path: Path,
) -> None:
    held_out, autoencoder = tmp_path / "held-out", tiny.tiny_vae(**vae)
    settings = PrepareSettings(HeatmapSettings(floor=0.05), LatentGeometry(8, 1), 4, 16)
    list(prepare(SceneClips(2, "eval", 16, 3, 1, static=static), held_out, autoencoder, settings,
                 described={"autoencoder": fingerprint(autoencoder)}, workers=0))
    result = invoke(*arguments(shards_folder, tmp_path / "run", base), "--held-out", str(held_out))
    assert str(result.exception) == f"--held-out {held_out}: {message}"
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_a_network_that_predicts_noise_is_not_probed_from_the_first_step_on(
    shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    given = arguments(shards_folder, tmp_path, base, prediction_type="epsilon",
                      zero_terminal_snr=False)
    result = invoke(*given, "--probe-every", "3")
    assert "should be v_prediction to be probed, got epsilon" in str(result.exception)
    assert (tmp_path / "log.jsonl").read_text() == ""


def test_an_assignment_without_an_equals_sign_names_the_option(
    shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    result = invoke(*arguments(shards_folder, tmp_path, base), "--set", "steps")
    assert result.exit_code == 2
    assert "--set" in result.stderr


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
