"""`scenes eval --prior` tells a network what the probe tells it; more than one video at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from tiny_model import UNET, tiny_pipeline

from motifocal.cli import cli
from motifocal.models.unet import TI2VUNet
from motifocal.scenes.evaluation.evaluate import eval_pairs
from motifocal.training.measurement.probe import encode_probe_set

TOLD = replace(UNET, motion_score=True, motion_mask=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told") / "model"
    tiny_pipeline(TOLD).save_pretrained(folder)
    return folder


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What each forward pass of a network is told."""
    passes: list[dict[str, Any]] = []
    forward = TI2VUNet.forward

    def recorded(self: TI2VUNet, *args: Any, **named: Any) -> Any:
        passes.append(named)
        return forward(self, *args, **named)

    monkeypatch.setattr(TI2VUNet, "forward", recorded)
    return passes


def scored(model: Path, output: Path, *more: object) -> Any:
    return CliRunner().invoke(cli, ["scenes", "eval", str(model), "-o", str(output), "--pairs", "9",
                                    "--batch", "16", "--size", "32", "--steps", "1",
                                    *map(str, more)])


def test_a_network_is_told_what_the_probe_tells_it(
    model: Path, seen: list[dict[str, Any]], tmp_path: Path
) -> None:
    done = scored(model, tmp_path, "--prior", "score,mask")
    assert done.exit_code == 0, done.output
    pairs = eval_pairs(9, 32)
    images = encode_probe_set(pairs, tiny_pipeline().vae, config=TOLD).images
    scores = [images[pair.image_id].score for pair in pairs]
    masks = torch.stack([image.mask for pair in pairs
                         if (image := images[pair.image_id]).mask is not None])
    (told,) = seen
    branches = 2  # without the prompt and with it
    assert len(set(scores)) > 1
    assert told["motion_score"].tolist() == pytest.approx(scores * branches)
    torch.testing.assert_close(told["motion_mask"], masks.repeat(branches, 1, 1, 1))
    assert json.loads((tmp_path / "videos" / "made.json").read_text())["prior"] == ["mask", "score"]


def test_without_the_option_it_is_told_nothing_and_the_folder_is_another(
    model: Path, seen: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert scored(model, tmp_path).exit_code == 0
    assert not {"motion_score", "motion_mask"} & seen[0].keys()
    again = scored(model, tmp_path, "--prior", "score")
    assert "made.json" in str(again.exception)


def test_models_and_videos_that_cannot_be_told_are_refused(model: Path, tmp_path: Path) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "plain")
    refused = scored(tmp_path / "plain", tmp_path / "out", "--prior", "score")
    assert str(refused.exception) == "motion should not be given: the model was trained without it"
    (tmp_path / "videos").mkdir()
    refused = scored(tmp_path / "videos", tmp_path / "out2", "--prior", "mask")
    assert refused.exit_code == 2
    assert "--prior needs a model" in refused.output


def test_a_list_of_priors_is_one_a_video() -> None:
    told = tiny_pipeline(TOLD)
    picture = torch.zeros(3, 32, 32)
    with pytest.raises(ValueError, match="motion should be one or 2, got 3"):
        told(picture, ["it rises", "it falls"], motion=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="motion_mask should be one or 2, got 1"):
        told(picture, ["it rises", "it falls"], motion_mask=[picture])
    with pytest.raises(ValueError, match=r"motion should be in \[0, 1\], got 1.5"):
        told(picture, ["it rises", "it falls"], motion=[0.1, 1.5])
