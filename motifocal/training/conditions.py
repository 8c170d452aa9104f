"""The inputs with which a network is trained: settings by name, and checks of what they need.

Told from file names and JSON alone, before torch is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from motifocal.data.manifest import read_manifest
from motifocal.models.folder_files import read_config
from motifocal.models.unet_config import LATENT_PATCH, PLACE_FEATURES, UNetConfig

#: Ways in which the image enters, as `train --image-condition` calls them, and in settings.
IMAGE_CONDITIONS = {"concat": "concat", "cross-attention": "attention", "both": "both"}
#: What of a configuration decides image tokens, and all that inputs are decided by.
TOKENS = ("image_token_dim", "image_attention", "image_scale", "image_projection", "resampler",
          "image_token_source")  # fmt: skip
INPUTS = ("image_condition", *TOKENS, "motion_score", "motion_mask")


def image_settings(word: str, model: Path | None, network: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the network, beyond those given in `network`, for a way of `word`.

    Image tokens come from the folder's image encoder where it has one, else from the first latent.
    They are seen by keys and values of their own. A network that has tokens already keeps them.
    """
    condition = IMAGE_CONDITIONS[word]
    if condition == "concat":
        return {"image_condition": condition, "image_token_dim": None, "resampler": None,
                "image_token_source": "encoder", "image_attention": "appended",
                "image_projection": "linear"}
    if network.get("image_condition") in ("attention", "both"):
        return {"image_condition": condition}
    width = image_width_of(model)
    latents = network.get("image_token_source") == "latents" or width is None
    if latents:
        width = LATENT_PATCH**2 * int(network["latent_channels"]) + PLACE_FEATURES
    return {"image_condition": condition, "image_token_dim": width,
            "image_token_source": "latents" if latents else "encoder",
            "image_attention": "decoupled"}


def check_start(old: UNetConfig, new: UNetConfig) -> None:
    """Raise ValueError unless a network of `new` can begin with all that one of `old` has learnt.

    It may have inputs in addition, and no other difference.
    """
    if replace(new, **{name: getattr(old, name) for name in INPUTS}) != old:
        raise ValueError(f"unet should be {new}, got {old}")
    kept = [name for name in ("motion_score", "motion_mask") if getattr(old, name)]
    kept += TOKENS if old.takes_image_tokens else ()
    for name in kept:
        had, has = getattr(old, name), getattr(new, name)
        if had != has:
            raise ValueError(f"unet.{name} should be {had}, which unet/ has learnt with, got "
                             f"{has}; begin with new weights (--fresh)")


def image_width_of(model: Path | None) -> int | None:
    """Return the width of the tokens of a folder's image encoder; None where it has none."""
    if model is None or not (model / "image_encoder").is_dir():
        return None
    width = read_config(model, "image_encoder").get("hidden_size")
    if not isinstance(width, int):
        raise ValueError(f"{model / 'image_encoder'} should say its hidden_size, got {width!r}")
    return width


def check_conditions(config: UNetConfig, model: Path, prepared: Sequence[Path]) -> None:
    """Raise ValueError where the model folder or prepared clips lack what the network is told."""
    if config.image_condition == "none":
        raise ValueError("image_condition should be 'concat', 'attention' or 'both' to be trained, "
                         "got 'none'")
    width = image_width_of(model)
    if config.takes_encoded_tokens and width != config.image_token_dim:
        raise ValueError(f"{model} should hold an image_encoder/ whose tokens are "
                         f"{config.image_token_dim} wide, got {width}")
    for folder in prepared:
        source = read_manifest(folder)["source"]
        if config.takes_encoded_tokens and "image_encoder" not in source:
            raise ValueError(f"{folder} should hold image tokens: run motifocal prepare with "
                             "--image-tokens, or set unet.image_token_source=latents")
        if config.motion_score and not source.get("motion_score"):
            raise ValueError(f"{folder} should hold a motion score: run motifocal prepare with "
                             "--prior score")
