"""What the options of sampling do to the videos of a motifocal model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import CommandLine
from tiny_model import SENTENCES

from motifocal.cli.animate import open_sampler
from motifocal.generate.model import Job, Sampling
from motifocal.generate.motifocal_model import MotifocalModel
from motifocal.generate.open import open_model
from motifocal.models.schedule import ddim_scheduler


def sample(model: Path, jobs: Sequence[Job], batch: int = 1, **options: Any) -> np.ndarray:
    """The frames of all jobs, (N, F, H, W, 3)."""
    opened = open_model(str(model), Sampling(**options))
    batches = [jobs[start : start + batch] for start in range(0, len(jobs), batch)]
    made = [frames for group in batches for frames in opened.sample(group)]
    assert not any(isinstance(frames, str) for frames in made)
    return np.stack(made)  # type: ignore[arg-type]


def test_without_steps_the_models_own_are_taken(model: Path, duck: Path) -> None:
    jobs = [Job(duck, SENTENCES[0], 0, Path())]
    assert np.array_equal(sample(model, jobs), sample(model, jobs, steps=3))


def test_steps_that_begin_far_from_noise_are_told_and_taken(
    model: Path, duck: Path, tmp_path: Path, animate_alone: CommandLine
) -> None:
    leading = Path(shutil.copytree(model, tmp_path / "leading"))
    ddim_scheduler("v_prediction").save_pretrained(leading / "scheduler")
    told = []
    for folder in (model, leading):
        ended = animate_alone(duck, SENTENCES[0], "--model", folder, "--steps", 2, "--output",
                              tmp_path / f"{folder.name}.mp4")
        assert ended.code == 0
        told.append("note: sampling in 2 steps begins at timestep 501 of 1000" in ended.err)
    assert told == [False, True]


def test_the_number_made_at_once_does_not_change_the_videos(model: Path, duck: Path) -> None:
    jobs = [Job(duck, sentence, seed, Path()) for sentence in SENTENCES[:2] for seed in (0, 1)]
    together = sample(model, jobs, batch=3, steps=2).astype(int)
    alone = sample(model, jobs, steps=2).astype(int)
    assert np.abs(together - alone).max() <= 1
    assert np.abs(together[0] - together[2]).max() > 20  # another sentence, the same noise


def test_a_negative_prompt_leads_a_motifocal_model_elsewhere(model: Path, duck: Path) -> None:
    jobs = [Job(duck, SENTENCES[0], 0, Path())]
    plain = sample(model, jobs, steps=2)
    assert not np.array_equal(plain, sample(model, jobs, steps=2, negative_prompt=SENTENCES[1]))


def test_the_bundled_model_may_be_named(duck: Path) -> None:
    assert open_sampler("bundled", {"device": "cpu"}, 1).settings["model"] == "bundled"


def test_a_job_that_fails_spoils_no_other_of_its_batch(
    model: Path, duck: Path, tmp_path: Path
) -> None:
    opened = open_model(str(model), Sampling(steps=1))
    missing = Job(tmp_path / "none.png", "it rises", 0, Path())
    steps: list[int] = []
    jobs = [missing, Job(duck, "it rises", 0, Path())]
    reason, frames = opened.sample(jobs, lambda: steps.append(1))
    assert isinstance(reason, str)
    assert "none.png" in reason
    assert not isinstance(frames, str)
    assert frames.shape == (4, 32, 32, 3)
    assert len(steps) == 1
    assert next(opened.sample([missing])) == reason  # and no batch is sampled


def test_after_a_batch_that_fails_no_part_stays_on_the_accelerator(
    model: Path, duck: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_model(str(model), Sampling(steps=1))
    assert isinstance(opened, MotifocalModel)
    freed: list[bool] = []

    def fail(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(opened.pipeline.unet, "forward", fail)
    monkeypatch.setattr(opened.pipeline, "maybe_free_model_hooks", lambda: freed.append(True))
    assert next(opened.sample([Job(duck, "it rises", 0, Path())])) == "no memory left"
    assert freed == [True]
