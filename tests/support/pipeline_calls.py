"""Quick calls of a tiny pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tiny_model import SENTENCES

from motifocal.models.pipeline import TI2VPipeline

STEPS = 3


def noise(seed: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(n) for n in numbers]


def run(pipeline: TI2VPipeline, image: Any = None, prompt: Any = SENTENCES[0], **kw: Any) -> Any:
    """The videos (B, F, 3, H, W) in [0, 1] unless another `output_type` is given."""
    image = noise(0) if image is None else image
    kw.setdefault("generator", torch.Generator().manual_seed(0))
    kw = {"num_inference_steps": STEPS, "output_type": "pt", **kw}
    return pipeline(image, prompt, **kw).frames
