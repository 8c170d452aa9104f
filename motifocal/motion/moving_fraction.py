"""Motion heatmaps become the share of the picture that moves: of a clip, and over several clips.

A heatmap is `(F, H, W)` float in [0, 1]: F frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from motifocal.motion.heatmap import Heatmap

HOT = 0.5  # above it a place moves: where sigma crosses its threshold


def moving_fraction(heatmap: Heatmap) -> float:
    """The share of the area of a heatmap (F, H, W), all frames together, that is above 0.5."""
    return float((heatmap > HOT).mean())


def mean_moving_fraction(fractions: Sequence[float]) -> float | None:
    """That of several clips, None of none: each counts once, whatever its size and length.

    A trainer draws clips, not pixels, and scales them to one size first.
    """
    return float(np.mean(fractions)) if len(fractions) else None
