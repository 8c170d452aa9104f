"""Draw the initial noise of a video from its seed: one rule for every command.

The seed alone decides: the videos of all images and prompts with one seed start from the same
noise (of the same shape), so that between two prompts of an image only the prompt differs.
"""

from __future__ import annotations

import torch


def noise_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """What the start noise of the video `seed` is drawn from, by `torch.randn` in float32.

    Args:
        seed: of the video, as in `motifocal animate --seed` and in the names of TI2V-Bench.
        device: where to draw. On the CPU, the default, the noise does not depend on the device
            that the network computes on.
    """
    return torch.Generator(device).manual_seed(seed)
