"""Load what a training needs from a model folder, and what other commands need from a run.

The folder has the diffusers layout: `vae/`, `text_encoder/`, `tokenizer/` and perhaps `unet/`.
Nothing is fetched: everything has to lie there.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import nn

from motifocal.data.shards import Shards
from motifocal.files.json_text import read_json_object
from motifocal.loss.latent_grid import LatentGeometry
from motifocal.models.autoencoder import downsampling_factor
from motifocal.models.folder import (
    load_autoencoder,
    load_network,
    load_scheduler,
    load_text_encoder,
    load_tokenizer,
)
from motifocal.models.schedule import (
    NoiseSchedule,
    ScaledDDIMScheduler,
    ddim_scheduler,
    noise_schedule,
)
from motifocal.models.unet import TI2VUNet
from motifocal.training.checkpoint import kept_weights, load_checkpoint
from motifocal.training.folders import (
    check_denoiser,
    check_run,
    inputs_path,
    is_run,
    scheduler_of,
    settings_path,
)
from motifocal.training.loop import TextFeatures
from motifocal.training.presets import TrainingSettings, read_settings


def load_vae(folder: Path) -> AutoencoderKL:
    """Load the autoencoder of a model folder, float32, in eval mode. ValueError without one."""
    return load_autoencoder(folder, torch.float32).requires_grad_(False)


def load_text(folder: Path) -> TextFeatures:
    """Load tokenizer and text encoder of a model folder, float32. ValueError without them."""
    text_encoder = load_text_encoder(folder, torch.float32)
    return TextFeatures(load_tokenizer(folder), text_encoder.requires_grad_(False))


def load_unet(folder: Path) -> TI2VUNet | None:
    """Load the denoiser of a model folder, float32; None where the folder has none."""
    if not (folder / "unet").is_dir():
        return None
    return load_network(folder, torch.float32)


def load_settings(run: Path) -> TrainingSettings:
    """Read the settings of a run's folder. ValueError where there are none."""
    check_run(run)
    return read_settings(settings_path(run))


def load_averaged(run: Path, step: int | None = None) -> tuple[TI2VUNet, TrainingSettings, int]:
    """Load the averaged weights of a run's newest checkpoint, in eval mode; settings and step.

    With a `step` they are those that `train --keep-every` kept there. Raises ValueError where the
    run has no checkpoint yet, or kept nothing at that step.
    """
    settings = load_settings(run)
    if step is not None:
        kept = load_unet(kept_weights(run, step))
        if kept is None:
            raise ValueError(f"{run} should have kept weights of step {step}, got none")
        return kept.eval(), settings, step
    state = load_checkpoint(run / "checkpoints")
    if state is None:
        raise ValueError(f"{run} should hold a checkpoint, got none yet")
    unet = TI2VUNet.build(settings.unet)
    pairs = zip(unet.parameters(), state["average"]["shadow_params"], strict=True)
    for parameter, average in pairs:
        parameter.data.copy_(average)
    return unet.eval(), settings, int(state["step"])


def load_clip_size(run: Path) -> tuple[int, int, int] | None:
    """Return (F, H, W) of the clips that a run of the command was trained on; None if not noted."""
    path = inputs_path(run)
    if not path.exists():
        return None
    clip = read_json_object(path).get("clip")
    if not (isinstance(clip, list) and len(clip) == 3 and all(type(n) is int for n in clip)):
        raise ValueError(f"{path} should hold the size of a clip, 3 numbers, got {clip!r}")
    return clip[0], clip[1], clip[2]


def load_denoiser(folder: Path) -> tuple[TI2VUNet, NoiseSchedule]:
    """Load the averaged network of a run, or that of a model folder, with its noise schedule."""
    check_denoiser(folder)
    if is_run(folder):
        unet, s, _ = load_averaged(folder)
        return unet, noise_schedule(s.prediction_type, s.zero_terminal_snr, s.use_scale)
    return load_network(folder, torch.float32), load_scheduler(folder).noise_schedule


def build_sampler(settings: TrainingSettings, base: Path) -> ScaledDDIMScheduler:
    """Build the sampler of a run's network; its last step is that of the base it started from."""
    rescaled = settings.use_scale and bool(scheduler_of(base).get("dynamic_rescale"))
    return ddim_scheduler(settings.prediction_type, settings.zero_terminal_snr,
                          settings.use_scale, rescaled)


def geometry_of(vae: AutoencoderKL) -> LatentGeometry:
    """Return where a frame's latents lie: one latent a frame, at the autoencoder's stride."""
    return LatentGeometry(downsampling_factor(vae), temporal_stride=1)


def fingerprint(vae: AutoencoderKL) -> str:
    """Return the SHA-256 of an autoencoder's scaling factor and weights.

    Of the weights in half precision, so that a model saved as float32 and as float16 is one.
    """
    config: Any = vae.config
    return weights_fingerprint(vae, json.dumps(config.scaling_factor))


def weights_fingerprint(model: nn.Module, more: str = "") -> str:
    """Return the SHA-256 of a network's weights in half precision, and of a few words."""
    digest = hashlib.sha256(more.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_encoders(
    shards: Shards, vae: AutoencoderKL, image_encoder: nn.Module | None = None
) -> None:
    """Raise ValueError where the shards say that others made their latents or image tokens."""
    made_by = shards.manifest["source"].get("image_encoder")
    if image_encoder is not None and made_by not in (None, weights_fingerprint(image_encoder)):
        raise ValueError("the shards should come from the image encoder in image_encoder/, got "
                         "another's")
    made_by = shards.manifest["source"].get("autoencoder")
    if made_by is not None and made_by != fingerprint(vae):
        raise ValueError("the shards should come from the autoencoder in vae/, got another's")
