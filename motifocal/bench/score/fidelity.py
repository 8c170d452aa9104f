"""Score how similar the first frame and the later frames are to the input image.

F frames, H W pixels. Frames are (F, H, W, 3) uint8 RGB, the image (H, W, 3), maps (H, W) float32.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames
from motifocal.metrics import psnr

Map = NDArray[np.float32]

WINDOW, SIGMA = 11, 1.5  # Wang et al. 2004
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_GREY = 128.0  # taken off before squaring: float32 then keeps SSIM to five digits


def fidelity(frames: Frames, image: NDArray[np.uint8]) -> dict[str, float]:
    """Return PSNR (dB, of RGB) and SSIM (of luma) against the image: of frame 0, and the mean of
    the other frames' values."""
    psnrs = [psnr(frame, image) for frame in frames]
    reference = _Reference(image)
    ssims = [reference.ssim(frame) for frame in frames]
    return {
        "first_frame_psnr": psnrs[0],
        "first_frame_ssim": ssims[0],
        "drift_psnr": float(np.mean(psnrs[1:])),
        "drift_ssim": float(np.mean(ssims[1:])),
    }


class _Reference:
    """The image's share of SSIM, computed once; in float32, around a mid grey for precision."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.grey = _luma(image)
        self.mean = _windowed(self.grey)
        self.square = _windowed(cv2.multiply(self.grey, self.grey))

    def ssim(self, frame: NDArray[np.uint8]) -> float:
        """Return structural similarity of one frame, the mean over the windows inside the image.

        Variances and the covariance do not change when both images lose the same grey, so only
        the means get it back.
        """
        grey = _luma(frame)
        mean = _windowed(grey)
        product = cv2.multiply(self.mean, mean)
        squares = cv2.add(cv2.multiply(self.mean, self.mean), cv2.multiply(mean, mean))
        variance = _windowed(cv2.multiply(grey, grey)) + self.square - squares
        covariance = _windowed(cv2.multiply(self.grey, grey)) - product
        shift = _GREY * (self.mean + mean) + _GREY**2
        light = (2 * (product + shift) + _C1) / (squares + 2 * shift + _C1)
        return float(np.mean(light * (2 * covariance + _C2) / (variance + _C2)))


def _luma(image: NDArray[np.uint8]) -> Map:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, np.float32) - np.float32(_GREY)


def _windowed(values: Map | cv2.typing.MatLike) -> Map:
    """Return weighted means of the windows that lie inside the image."""
    edge = WINDOW // 2
    blurred = cv2.GaussianBlur(values, (WINDOW, WINDOW), SIGMA)[edge:-edge, edge:-edge]
    return np.ascontiguousarray(blurred, np.float32)
