"""Samples of a training are made as its base is called."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from train_command import arguments, invoke

from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.schedule import ddim_scheduler


def test_samples_take_the_steps_the_guidance_and_the_last_step_of_the_base(
    shards_folder: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copytree(base, tmp_path / "base"))
    ddim_scheduler("v_prediction", True, True, True).save_pretrained(own / "scheduler")
    call = {"sample_steps": 2, "sample_guidance": 3.0, "sample_guidance_rescale": 0.7}
    index = {"_class_name": "TI2VPipeline", **call}
    (own / "model_index.json").write_text(json.dumps(index))
    made: list[tuple[dict[str, Any], bool]] = []
    sample = TI2VPipeline.__call__

    def noted(pipeline: TI2VPipeline, *given: Any, **named: Any) -> Any:
        config = {key: pipeline.config[key] for key in call}
        made.append((config, pipeline.scheduler.config["dynamic_rescale"]))
        return sample(pipeline, *given, **named)

    monkeypatch.setattr(TI2VPipeline, "__call__", noted)
    changed = {"steps": 1, "warmup": 1, "sample_every": 1, "use_scale": True}
    result = invoke(*arguments(shards_folder, tmp_path / "run", own, **changed), "--samples", 1)
    assert result.exit_code == 0, result.output
    assert made == [(call, True)]
