"""Convert HDR pixels of 16 bits (PQ or HLG) to SDR of 8 bits, with reference white as white.

H W pixels. Light is counted in cd/m². ITU-R BT.2408 puts white, as of a sheet of paper, at 203.
What is brighter, such as a lamp, is cut off there, and hues beyond BT.709 are cut off at its edge.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Image

# Numbers of FFmpeg's libavutil/pixfmt.h, those of ITU-T H.273.
_PQ, _HLG, _BT2020 = 16, 18, 9
#: Number of a transfer function -> its name.
TRANSFERS = {_PQ: "PQ", _HLG: "HLG"}
_WHITE = 203.0  # cd/m², ITU-R BT.2408-7, table 1
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2  # cd/m² of the reference display, ITU-R BT.2100-2, table 5
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020
# Linear BT.2020 to linear BT.709, ITU-R BT.2087-0, inverted.
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


def to_sdr(rgb: NDArray[np.uint16], transfer: int, primaries: int) -> Image:
    """Convert (H, W, 3) non-linear uint16, full range, to (H, W, 3) uint8 sRGB.

    transfer: a key of ``TRANSFERS``. primaries: by H.273; all but BT.2020 are left as they are.
    """
    light = _linear(transfer)[rgb]
    if transfer == _HLG:
        scene = np.maximum(light @ _LUMA, 1e-6)[..., None]
        light = light * scene ** np.float32(_HLG_GAMMA - 1)
        light *= np.float32(_HLG_PEAK / _WHITE)
    if primaries == _BT2020:
        light = light @ _TO_BT709.T
    codes = np.rint(np.clip(light, 0, 1) * 65535).astype(np.uint16)
    return _encoded()[codes]


@lru_cache(maxsize=2)
def _linear(transfer: int) -> NDArray[np.float32]:
    """Tabulate light by code: of PQ the display's over white, of HLG the scene's in [0, 1]."""
    signal = np.arange(65536) / 65535
    if transfer == _PQ:  # SMPTE ST 2084
        root = signal ** (1 / 78.84375)
        top = np.maximum(root - 0.8359375, 0)
        light = 10_000 / _WHITE * (top / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    else:  # ARIB STD-B67
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return np.asarray(light, np.float32)


@lru_cache(maxsize=1)
def _encoded() -> Image:
    """Tabulate the sRGB curve: linear light of 16 bits -> uint8."""
    light = np.arange(65536) / 65535
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * curve).astype(np.uint8)
