"""What the loss refuses, with both values."""

from __future__ import annotations

import pytest
import torch
from loss_inputs import HEATMAP_SHAPE, heat, latents

from motifocal.loss.focal import check_values, motion_focal_loss


@pytest.mark.parametrize("bad", [-0.01, 1.01, float("nan"), float("inf")])
def test_heatmap_out_of_range_is_refused_and_named(bad: float) -> None:
    prediction, target = latents()
    heatmap = heat()
    heatmap[1, 0, 2, 3, 4] = bad
    with pytest.raises(ValueError, match=r"heatmap should be in \[0, 1\]"):
        motion_focal_loss(prediction, target, heatmap)
    with pytest.raises(ValueError, match=r"heatmap should be in \[0, 1\]"):
        check_values(heatmap)
    motion_focal_loss(prediction, target, heatmap, check=False)


@pytest.mark.parametrize(
    "shape",
    [
        (3, 1, 4, 6, 7),
        (3, 1, 5, 7, 6),
        (1, 1, 5, 6, 7),
        (2, 1, 5, 6, 7),
        (3, 1, 1, 6, 7),
        (3, 1, 5, 1, 1),
        (3, 2, 5, 6, 7),
        (3, 5, 6, 7),
    ],
)
def test_heatmap_of_another_grid_is_refused(shape: tuple[int, ...]) -> None:
    prediction, target = latents()
    with pytest.raises(ValueError, match=r"heatmap should be \(3, 1, 5, 6, 7\).*got") as caught:
        motion_focal_loss(prediction, target, heat(shape=shape))
    assert str(shape) in str(caught.value)


def test_sample_without_a_valid_element_is_refused() -> None:
    prediction, target = latents()
    valid = torch.ones(HEATMAP_SHAPE)
    valid[2] = 0
    with pytest.raises(ValueError, match=r"at least one element a sample, got none in \[2\]"):
        motion_focal_loss(prediction, target, heat(), valid=valid)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": torch.zeros(3, 4, 5, 6, 8)}, r"target should be \(3, 4, 5, 6, 7\), got"),
        ({"valid": torch.full(HEATMAP_SHAPE, 0.5)}, "valid should hold 0 and 1 only"),
        ({"valid": torch.full(HEATMAP_SHAPE, float("nan"))}, "valid should hold 0 and 1 only"),
        ({"valid": torch.ones(3, 1, 4, 6, 7)}, r"valid should broadcast to \(3, 4, 5, 6, 7\)"),
        ({"valid": torch.ones(5, 6, 7)}, r"valid should broadcast to \(3, 4, 5, 6, 7\)"),
        ({"timestep_weight": torch.ones(2)}, r"timestep_weight should be \(3,\), got \(2,\)"),
        ({"timestep_weight": torch.ones(3, 1)}, r"timestep_weight should be \(3,\)"),
        ({"weight": -1.0}, "weight should be finite and at least 0, got -1"),
        ({"weight": float("nan")}, "weight should be finite"),
        ({"variant": "motion"}, "variant should be one of .*'motif'.* got 'motion'"),
        ({"heatmap": None}, 'heatmap should be a tensor for the variant "motif"'),
    ],
)
def test_wrong_arguments_are_refused_with_both_values(options: dict, message: str) -> None:
    prediction, target = latents()
    arguments = {"target": target, "heatmap": heat(), **options}
    with pytest.raises(ValueError, match=message):
        motion_focal_loss(prediction, **arguments)
