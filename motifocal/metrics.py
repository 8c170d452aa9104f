"""Compute PSNR and SSIM of two images, and means with bootstrap intervals over images.

Letters: H W pixels. Images are (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

ROUNDING_MSE = 1 / 12  # the error that 8-bit rounding makes; the PSNR of equal images is 58.9 dB
RESAMPLES = 4000


@dataclass(frozen=True)
class MeanInterval:
    """A mean over pairs and its 95 % interval over images."""

    mean: float
    low: float
    high: float


NO_INTERVAL = MeanInterval(math.nan, math.nan, math.nan)  # of no value at all


def mean_squared_error(a: npt.NDArray[np.float32], b: npt.NDArray[np.uint8]) -> float:
    """Return the mean of the squared differences, in grey levels squared."""
    return float(np.mean(np.square(a - b)))


def psnr(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio in dB; the error is at least that of 8-bit rounding."""
    error = np.square(a.astype(np.int32) - b).mean()  # an exact sum
    return float(10 * np.log10(255**2 / max(error, ROUNDING_MSE)))


def ssim(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Return the structural similarity of two images (H, W, 3), mean over pixels and colours.

    Wang et al. 2004: Gaussian windows of 11 pixels, sigma 1.5, K = 0.01 and 0.03, and only windows
    that lie inside the image. Raises ValueError where none does.
    """
    if a.shape != b.shape or a.ndim != 3 or min(a.shape[:2]) < 11:
        raise ValueError(f"images should be (H, W, 3), 11 or more wide, got {a.shape}, {b.shape}")
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _windowed(x), _windowed(y)
    var_x, var_y = _windowed(x * x) - mean_x**2, _windowed(y * y) - mean_y**2
    cov = _windowed(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    return float(np.mean(top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))))


def _windowed(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    blurred: npt.NDArray[np.float64] = np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5), np.float64)
    return blurred[5:-5, 5:-5]


def over_images(
    values: npt.NDArray[np.float64], images: list[str], *, seed: int = 0
) -> MeanInterval:
    """Return the mean of `values` (one a pair) with its 95 % percentile bootstrap over images.

    `images` names the image of each pair. The same arguments give the same interval. With
    fewer than two images there is nothing to resample, and the interval is (nan, nan).
    """
    names, place = np.unique(images, return_inverse=True)
    sums = np.bincount(place, weights=values)
    counts = np.bincount(place).astype(np.float64)
    mean = float(sums.sum() / counts.sum())
    if len(names) < 2:
        return MeanInterval(mean, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    means = (times @ sums) / (times @ counts)
    low, high = np.quantile(means, [0.025, 0.975])
    return MeanInterval(mean, float(low), float(high))


def share_over_images(
    values: npt.NDArray[np.float64], images: list[str], *, seed: int = 0
) -> MeanInterval:
    """Return the share of pairs with `values` of 1 rather than 0, with its 95 % interval.

    It is that of `over_images`; where all pairs or none have a 1, so that all resamples are alike,
    it is Clopper and Pearson's with images as the sample: 0 of 23 images gives 0 to 14.8 %.
    """
    measured = over_images(values, images, seed=seed)
    if measured.mean not in (0, 1):
        return measured
    beyond = float(0.025 ** (1 / len(set(images))))
    return MeanInterval(measured.mean, measured.mean * beyond, 1 - (1 - measured.mean) * beyond)
