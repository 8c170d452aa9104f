"""musubi-tuner's training scripts, started by motifocal.bridges.musubi."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from musubi_caches import cached, configured, jobs_of
from musubi_trainers import NewTrainer
from square_clips import drawn_clip

from motifocal.bridges import musubi
from motifocal.bridges.cached_latents import make_weights


def script(monkeypatch: pytest.MonkeyPatch, name: str, trainer: str) -> types.ModuleType:
    """A training script whose main reads sys.argv and trains with the trainer of its module."""
    module = types.ModuleType(name)
    module.__file__ = f"/somewhere/{name}.py"
    setattr(module, trainer, type(trainer, (NewTrainer,), {}))

    def run() -> None:
        module.argv = list(sys.argv)  # type: ignore[attr-defined]
        module.used = getattr(module, trainer)()  # type: ignore[attr-defined]

    module.main = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "musubi_tuner", types.ModuleType("musubi_tuner"))
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(sys, "argv", ["before"])
    return module


def test_the_launcher_runs_their_main_with_our_trainer_and_their_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "musubi_tuner.wan_train_network"
    module: Any = script(monkeypatch, name, "WanNetworkTrainer")
    theirs = ["--task", "i2v-A14B", "--dataset", "a.toml", "--motif", "x"]
    musubi.main(["wan", "--motif_weight", "0.5", *theirs])
    assert module.argv == [f"/somewhere/{name}.py", *theirs]
    assert isinstance(module.used, NewTrainer)
    assert module.used.extra_metadata(None)["ss_motif_weight"] == 0.5


def test_the_launcher_knows_the_name_that_older_versions_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module: Any = script(monkeypatch, "musubi_tuner.hv_train_network", "NetworkTrainer")
    musubi.main(["hv"])
    assert module.used.extra_metadata(None)["ss_motif_weight"] == 1.0


def test_the_launcher_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"wan_train_network is not there: install musubi-tuner"):
        musubi.main(["wan"])
    for given, words in (
        (["flux"], "invalid choice"),
        (["wan", "--motif_weight", "-1"], "motif_weight should be finite and at least 0, got -1"),
        (["wan"], "has no WanNetworkTrainer: an unknown version"),
    ):
        script(monkeypatch, "musubi_tuner.wan_train_network", "SomethingElse")
        if given != ["wan"]:
            script(monkeypatch, "musubi_tuner.wan_train_network", "WanNetworkTrainer")
        with pytest.raises(SystemExit) as stopped:
            musubi.main(given)
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err


def test_the_launcher_says_what_is_wrong_with_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script(monkeypatch, "musubi_tuner.wan_train_network", "WanNetworkTrainer")
    config, table = tmp_path / "dataset.json", tmp_path / "clips.jsonl"
    table.write_text('\nno json\n')
    for own, words in (
        ({"image_directory": "x", "cache_directory": "y"}, "should have a data set of videos"),
        ({"video_directory": str(tmp_path / "gone")}, "No such file"),
        ({"video_jsonl_file": str(table), "cache_directory": "y"}, "line 2 should be JSON"),
    ):
        config.write_text(json.dumps({"datasets": [own]}))
        with pytest.raises(SystemExit) as stopped:
            musubi.main(["wan", "--dataset_config", str(config)])
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err


def test_the_launcher_stops_before_training_where_weights_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = script(monkeypatch, "musubi_tuner.wan_train_network", "WanNetworkTrainer")
    config = configured(tmp_path)
    drawn_clip(tmp_path / "videos" / "a.mp4", 12)
    for frames in (1, 9):  # a single frame needs none
        cached(tmp_path / "cache", "a", 0, frames)
    call = ["wan", "--dataset_config", str(config)]
    with pytest.raises(SystemExit, match=r"1 cached clips have no motion weights, the first is a_"):
        musubi.main(call)
    musubi.main([*call, "--motif_weight", "0"])
    del module.used
    assert make_weights(jobs_of(config)).made == 1
    musubi.main(call)
    assert module.used.extra_metadata(None)["ss_motif_weight"] == 1.0
