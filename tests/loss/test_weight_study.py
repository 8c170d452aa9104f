"""The study of weights says what the losses themselves do with a heatmap."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import weight_study

from motifocal.loss.focal import motion_focal_loss
from motifocal.scenes.variant import SceneVariant

RANDOM = np.random.default_rng(0)
HEATMAP = RANDOM.random((3, 4, 4)).astype(np.float32)
AREA = np.where(RANDOM.random((3, 4, 4)) < 0.3, RANDOM.random((3, 4, 4)), 0).astype(np.float32)


def added(variant: str, heatmap: np.ndarray) -> float:
    """Return the motion part over the plain loss, of an error that lies on what moves alone."""
    error = torch.from_numpy(AREA).sqrt()[None, None]
    loss = motion_focal_loss(error, torch.zeros_like(error), torch.from_numpy(heatmap)[None, None],
                             variant=variant)
    return (loss.motion / loss.diffusion).item()


@pytest.mark.parametrize("scale", [1, 0.05])  # at the second, the gain of normalised is limited
def test_the_weights_are_those_of_the_losses(scale: float) -> None:
    heatmap = HEATMAP * np.float32(scale)
    area, squared, normalised, share = weight_study.measured(AREA, heatmap)
    assert area == pytest.approx(AREA.mean())
    assert squared == pytest.approx(added("motif", heatmap), rel=1e-5)
    assert normalised == pytest.approx(added("normalised", heatmap), rel=1e-5)
    assert 0 < share < 1
    assert weight_study.measured(np.ones_like(AREA), heatmap)[3] == pytest.approx(1)


def test_each_kind_of_scenes_is_that_of_the_ablations() -> None:
    assert weight_study.variant_named("still") == SceneVariant()
    assert weight_study.variant_named("lively") == SceneVariant("lively")
    assert weight_study.variant_named("hard") == SceneVariant(difficulty="hard")
