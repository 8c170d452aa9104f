"""Degrade clean frames as a camera and its codec do: exposure, grain, compression.

Letters: F frames, H W pixels, 8 x 8 the coefficients of a block.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from motifocal.media.arrays import Frames
from motifocal.scenes.drawing.residue import GRAIN, Level, exposure, stream

Floats = npt.NDArray[np.float32]

BLOCK = 8
CHROMA_GRAIN = 0.4  # deviation of the colour difference grain over that of the brightness grain
ROUNDING = 1 / 3  # a coefficient counts from 2/3 of a step on, as in common encoders
# Full-range YCbCr of BT.601, offsets left out: only differences are quantised.
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]],
                  np.float32)
TO_RGB = np.linalg.inv(TO_YCC).astype(np.float32)


def record(frames: Frames, seed: int, level: Level) -> Frames:
    """Clean frames (F, H, W, 3) as a camera and its codec keep them, in the same shape."""
    light = frames * exposure(seed, len(frames), level)[:, None, None, :]
    if level.grain > 0:
        light += grain(frames, seed, level)
    if level.quantiser > 0:
        light = compress(light, level.quantiser)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def grain(frames: Frames, seed: int, level: Level) -> Floats:
    """Spatially correlated noise (F, H, W, 3), new in each frame, stronger where it is bright.

    The brightness has the deviation `level.grain` on average over a mid-grey image.
    """
    count, height, width, _ = frames.shape
    rng = stream(seed, GRAIN)
    noise = np.empty((count, height, width, 3), np.float32)
    for here in noise:
        # Uniform numbers: smoothing makes them all but normal, in a third of the time.
        white = rng.random((height, width, 3), np.float32) - np.float32(0.5)
        here[:] = cv2.GaussianBlur(white, (0, 0), level.grain_length)
    noise *= level.grain * np.sqrt(12) / _smoothed_deviation(level.grain_length)
    noise[..., 1:] *= CHROMA_GRAIN
    shot = np.sqrt(0.3 + np.float32(1.4 / 255) * frames[..., 1:2])  # green is near the brightness
    return _mixed(noise, TO_RGB) * shot


def _smoothed_deviation(sigma: float) -> float:
    """The deviation of white noise of deviation 1 after Gaussian smoothing along both axes."""
    size = 2 * max(1, round(sigma * 4)) + 1  # what OpenCV takes for floating point images
    kernel = cv2.getGaussianKernel(size, sigma, cv2.CV_32F)
    return float(np.square(kernel).sum())


def compress(frames: Floats, step: float) -> Floats:
    """What a block codec keeps of frames (F, H, W, 3): each is coded as a difference to the last.

    The first frame, then the difference of each frame to the decoded one before, in blocks of
    8 x 8 cosine coefficients that are quantised in steps of `step`, coarser at high frequencies
    and in colour. A block that changes too little is not coded: it stays as it was, as in the
    skipped blocks of H.264. There is no motion compensation.
    """
    count, height, width, _ = frames.shape
    padding = ((0, 0), (0, -height % BLOCK), (0, -width % BLOCK), (0, 0))
    planes = np.moveaxis(_mixed(np.pad(frames, padding, mode="edge"), TO_YCC), -1, 1)
    steps = _steps(step)
    decoded = np.zeros_like(planes)
    before = np.zeros_like(planes[0])
    for frame in range(count):
        coded = _cosines(planes[frame] - before, inverse=False)
        shape = coded.shape
        blocks = coded.reshape(3, -1, BLOCK, shape[-1] // BLOCK, BLOCK) / steps
        kept = np.sign(blocks) * np.floor(np.abs(blocks) + ROUNDING)
        before = before + _cosines((kept * steps).reshape(shape), inverse=True)
        decoded[frame] = before
    return _mixed(np.moveaxis(decoded, 1, -1)[:, :height, :width], TO_RGB)


def _mixed(images: Floats, matrix: Floats) -> Floats:
    """Return the three channels of every pixel, times a matrix (3, 3)."""
    return np.asarray((images.reshape(-1, 3) @ matrix.T).reshape(images.shape), np.float32)


@lru_cache(maxsize=8)
def _steps(step: float) -> Floats:
    """The quantiser's steps, (3, 1, 8, 1, 8): doubled at the highest frequency, and in colour."""
    frequency = np.arange(BLOCK)[:, None] + np.arange(BLOCK)[None]
    table = step * (1 + frequency / (2 * BLOCK - 2))
    planes = np.stack([table, 2 * table, 2 * table]).astype(np.float32)
    return planes[:, None, :, None, :]


@lru_cache(maxsize=1)
def _basis() -> Floats:
    """Return the orthonormal cosine transform of 8 values, (8, 8)."""
    k, n = np.arange(BLOCK)[:, None], np.arange(BLOCK)[None]
    basis = np.cos(np.pi * (n + 0.5) * k / BLOCK) * np.sqrt(2 / BLOCK)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def _cosines(planes: Floats, *, inverse: bool) -> Floats:
    """Return the cosine transform of each 8 x 8 block of planes (3, H, W), or its inverse."""
    basis = _basis().T if inverse else _basis()
    _, height, width = planes.shape
    rows = np.matmul(basis, planes.reshape(-1, BLOCK, width))
    columns = rows.reshape(-1, BLOCK) @ basis.T
    return np.asarray(columns.reshape(3, height, width), np.float32)
