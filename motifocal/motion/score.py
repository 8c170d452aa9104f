"""Measure a clip's motion as one number, which a network can get as an input (a motion prior).

F frames, H W pixels. Flow is `(F-1, 2, H, W)` float32 in pixels.
"""

from __future__ import annotations

import numpy as np

from motifocal.motion.flow import Flow

#: The mean displacement, as a fraction of the diagonal, whose score is 0.5.
HALF = 0.002


def motion_score(flow: Flow) -> float:
    """Return how much a clip moves, from 0 (nothing) towards 1.

    x / (x + HALF), x the mean length of the flow over all places and frames, the camera's motion
    included, as a fraction of the diagonal: so the score does not depend on the size in pixels,
    and tells slow clips apart as well as fast ones. Our reading: published models take bins or
    logarithms of the same mean. 0 where there is no flow at all, as of one frame.

    Raises:
        ValueError: on a wrong shape.
    """
    if flow.ndim != 4 or flow.shape[1] != 2:
        raise ValueError(f"flow should be (F-1, 2, H, W), got {flow.shape}")
    if not len(flow):
        return 0.0
    moved = float(np.hypot(flow[:, 0], flow[:, 1]).mean()) / float(np.hypot(*flow.shape[2:]))
    return moved / (moved + HALF)
