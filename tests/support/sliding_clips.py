"""Clips of which the motion is known, and their measures."""

from __future__ import annotations

import cv2
import numpy as np

from motifocal.bench.score.motion import motion
from motifocal.motion.flow import estimate_flow
from motifocal.scenes.render import Camera, render
from motifocal.scenes.stage import make_stage


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A blurred random picture (H, W, 3) uint8."""
    noise = np.random.default_rng(seed).standard_normal((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.clip(np.rint(smooth / smooth.std() * 30 + 128), 0, 255).astype(np.uint8)


def sliding(
    step: float, pan: float = 0.0, *, frames: int = 6, size: int = 160, side: int = 40
) -> np.ndarray:
    """A textured square moves right by `step` over texture, the camera right by `pan` a frame."""
    wall, square = texture(size, size + 120), texture(side, side, seed=5)
    clip = []
    for index in range(frames):
        shift = np.array([[1, 0, -60 - pan * index], [0, 1, 0.0]])
        seen = cv2.warpAffine(wall, shift, (size, size), flags=cv2.INTER_CUBIC)
        place = np.array([[1, 0, 40 + (step - pan) * index], [0, 1, 60.0]])
        cover = cv2.warpAffine(np.ones((side, side), np.float32), place, (size, size))[..., None]
        drawn = cv2.warpAffine(square, place, (size, size), flags=cv2.INTER_LINEAR)
        clip.append(np.rint(seen * (1 - cover) + drawn * cover))
    return np.array(clip, np.uint8)


def moved(frames: np.ndarray, fps: float = 8.0) -> dict[str, float]:
    return motion(frames, estimate_flow(frames), fps)


def drawn(scenario: str, seed: int, size: int, sentence: int = 0, camera: Camera = "static"):
    """The first frames of a drawn clip, and the true mean length of their flow in pixels."""
    stage = make_stage(scenario, "train", seed)
    clip = render(stage, stage.actions[sentence], size=size, camera=camera, with_flow=True)
    assert clip.flow is not None
    assert clip.flow_valid is not None
    true = np.hypot(clip.flow[:, 0], clip.flow[:, 1]) * clip.flow_valid
    return clip.frames[:8], float(true[:7].mean())
