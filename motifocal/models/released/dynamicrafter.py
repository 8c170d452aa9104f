"""Convert released image-to-video models of VideoCrafter's architecture to diffusers folders.

Both see the image by cross-attention to 16 tokens that a resampler makes of OpenCLIP's ViT-H image
tower: VideoCrafter1-I2V for the clip, DynamiCrafter for each frame, and the latter by its latent on
the channels too. Every tensor of a checkpoint has a place or a reason to be left out; see
`motifocal.models.released.checkpoint`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from motifocal.models.image.encoder import image_encoder_config
from motifocal.models.image.resampler_config import VIDEOCRAFTER1_RESAMPLER
from motifocal.models.released.checkpoint import BaseModel, ImportReport, import_checkpoint
from motifocal.models.unet import VIDEOCRAFTER2
from motifocal.models.videocrafter2 import VIDEOCRAFTER2_BASE

#: OpenCLIP's ViT-H image tower.
VIT_H = image_encoder_config(
    width=1280, heads=16, layers=32, patch=14, side=224, projection=1024
)

VIDEOCRAFTER1_I2V_BASE: BaseModel = replace(
    VIDEOCRAFTER2_BASE,
    unet=replace(
        VIDEOCRAFTER2,
        image_condition="attention",
        image_token_dim=1280,
        image_attention="decoupled",
        image_projection="resampler",
        resampler=VIDEOCRAFTER1_RESAMPLER,
    ),
    image_encoder=VIT_H,
    sample={"guidance": 12.0, "fps": 8.0},
)

#: The model for 320 x 512.
DYNAMICRAFTER_BASE: BaseModel = replace(
    VIDEOCRAFTER1_I2V_BASE,
    unet=replace(
        VIDEOCRAFTER1_I2V_BASE.unet,
        image_condition="both",
        resampler=replace(VIDEOCRAFTER1_RESAMPLER, frames=16),
    ),
    prediction_type="v_prediction",
    zero_terminal_snr=True,
    dynamic_rescale=True,
    sample={"guidance": 7.5, "guidance_rescale": 0.7, "fps": 24.0},
)


def import_dynamicrafter(
    checkpoint: Path, folder: Path, tokenizer: str | Path | None = None
) -> ImportReport:
    """Write the folder of DynamiCrafter for 320 x 512; see `import_checkpoint`."""
    return import_checkpoint(checkpoint, folder, DYNAMICRAFTER_BASE, tokenizer)


def import_videocrafter1_i2v(
    checkpoint: Path, folder: Path, tokenizer: str | Path | None = None
) -> ImportReport:
    """Write the folder of VideoCrafter1's image-to-video model; see `import_checkpoint`."""
    return import_checkpoint(checkpoint, folder, VIDEOCRAFTER1_I2V_BASE, tokenizer)
