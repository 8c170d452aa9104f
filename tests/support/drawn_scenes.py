"""Drawn scenes: their stages and clips, and masks a pixel larger or smaller."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from motifocal.scenes.render import SceneClip, render
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.world import Action, Stage

NAMES = sorted(SCENARIOS)


def stages(split: str, seeds: range) -> list[Stage]:
    return [make_stage(name, split, seed) for name in NAMES for seed in seeds]  # type: ignore[arg-type]


def clips(seeds: range, **options: object) -> list[tuple[Stage, Action, SceneClip]]:
    return [(stage, action, render(stage, action, with_flow=True, **options))  # type: ignore[arg-type]
            for stage in stages("train", seeds) for action in stage.actions]


def grown(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask and one pixel around it."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def shrunk(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
