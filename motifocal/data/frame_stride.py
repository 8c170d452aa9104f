"""Draw the start and stride of a training clip at random."""

from __future__ import annotations

import numpy as np


def dynamic_stride(
    num_source_frames: int, num_frames: int, max_stride: int, generator: np.random.Generator
) -> tuple[int, int]:
    """Draw (start, stride) for a training clip: the paper's dynamic frame stride.

    Our reading, as the paper gives no more than the name: the stride is uniform over 1 to
    `max_stride` as far as the source is long enough, then the start uniform over what is left.
    Raises ValueError when the source is shorter than `num_frames`.
    """
    if min(num_frames, max_stride) < 1:
        raise ValueError(f"num_frames, max_stride should be >= 1, got {num_frames}, {max_stride}")
    if num_source_frames < num_frames:
        length = f"the clip holds {num_source_frames}"
        raise ValueError(f"num_frames should be at most what {length}, got {num_frames}")
    longest = (num_source_frames - 1) // (num_frames - 1) if num_frames > 1 else max_stride
    stride = int(generator.integers(1, min(max_stride, longest), endpoint=True))
    last_start = num_source_frames - 1 - (num_frames - 1) * stride
    return int(generator.integers(0, last_start, endpoint=True)), stride
