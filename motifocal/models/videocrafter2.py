"""Import the released VideoCrafter2 checkpoint as a folder in the diffusers layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from motifocal.models.released.checkpoint import (
    BaseModel,
    ImportReport,
    check_names_and_shapes,
    component_state,
    import_checkpoint,
    load_released,
    plan_import,
)
from motifocal.models.text import text_config
from motifocal.models.unet import VIDEOCRAFTER2, ImageCondition

__all__ = [
    "AUTOENCODER_KL_F8",
    "VIDEOCRAFTER2_BASE",
    "BaseModel",
    "ImportReport",
    "check_names_and_shapes",
    "component_state",
    "import_videocrafter2",
    "load_released",
    "plan_import",
]

#: Stable Diffusion's KL-f8 autoencoder.
AUTOENCODER_KL_F8: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 256,
    "scaling_factor": 0.18215,
}

VIDEOCRAFTER2_BASE = BaseModel(
    unet=VIDEOCRAFTER2,
    autoencoder=AUTOENCODER_KL_F8,
    text_encoder=text_config(width=1024, heads=16, layers=23, vocabulary=49408),
)


def import_videocrafter2(
    checkpoint: Path,
    folder: Path,
    image_condition: ImageCondition = "concat",
    tokenizer: str | Path | None = None,
    image_token_dim: int | None = None,
    base: BaseModel = VIDEOCRAFTER2_BASE,
    shard_size: str = "2GB",
) -> ImportReport:
    """Write VideoCrafter2's folder; arguments and errors beside these: see `import_checkpoint`.

    Args:
        checkpoint: the released `.ckpt`, or the same tensors as `.safetensors`.
        folder: must not exist.
        image_condition: how the image will enter; "none" keeps the text-to-video model.
        tokenizer: a local folder with CLIP's tokenizer, or a hub id.
        image_token_dim: width of the image tokens, for "attention" and "both".
        base: the sizes of the checkpoint.
        shard_size: the largest file.
    """
    unet = replace(base.unet, image_condition=image_condition, image_token_dim=image_token_dim)
    return import_checkpoint(checkpoint, folder, replace(base, unet=unet), tokenizer, shard_size)
