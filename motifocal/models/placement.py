"""Where a part of a pipeline computes, which need not be where its weights lie."""

from __future__ import annotations

import torch
from torch import nn


def computing_device(part: nn.Module) -> torch.device:
    """Return the device that a network computes on.

    Weights that are offloaded by accelerate's hooks lie on the CPU, or on no device ("meta"), until
    they are used; the hooks say where that is.
    """
    for module in part.modules():
        device = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
        if device is not None:
            return torch.device(device)
    return next(part.parameters()).device
