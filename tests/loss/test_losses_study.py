"""scripts/losses_study.py: the figures of docs/losses.md are computed as they are described."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import losses_study


def test_weights_are_averaged_apart_where_the_heatmap_says_that_something_moves() -> None:
    latents, heatmap = torch.zeros(1, 4, 3, 2, 2), torch.zeros(1, 1, 3, 2, 2)
    latents[:, :, 1:, 0, 0], heatmap[:, :, 1, 0, 0] = 2.0, 0.9  # a step of 2 at one place
    heatmap[:, :, 0] = 1.0  # the first frame has no weight
    assert losses_study.mean_weights(latents, heatmap) == pytest.approx((math.log(3), 0.0))


def test_the_ratio_of_a_weight_that_is_the_same_everywhere_is_its_share_of_the_frames() -> None:
    steps = torch.arange(5.0)[None, None, :, None, None].expand(8, 4, 5, 16, 16)
    ratio = losses_study.ratio(steps, "discrepancy", 0.5, seed=0)
    assert ratio == pytest.approx(4 / 5 * math.log(2), rel=0.02)
