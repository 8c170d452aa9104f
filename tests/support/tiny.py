"""The smallest parts that have the real classes: a model folder, shards, settings for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from transformers import CLIPVisionModelWithProjection

from motifocal.data.prepare import PrepareSettings, prepare
from motifocal.data.shards import Shards
from motifocal.data.sources import SceneClips
from motifocal.loss.latent_grid import LatentGeometry
from motifocal.models.image.encoder import image_encoder_config
from motifocal.motion.heatmap import HeatmapSettings
from motifocal.training.encoders.text_encoder import (
    TextEncoderSettings,
    build_text_encoder,
    train_tokenizer,
)
from motifocal.training.loop import Run, start
from motifocal.training.presets import TrainingSettings, resolve
from motifocal.training.processes import open_accelerator
from motifocal.training.run_folder import load_text

UNET = {
    "latent_channels": 4, "block_out_channels": [8], "attention": [False],
    "layers_per_block": 1, "norm_num_groups": 4, "head_width": 4, "input_attention_heads": 1,
    "cross_attention_dim": 8, "temporal_dropout": 0.1,
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "steps": 5, "global_batch": 4, "micro_batch": 4, "warmup": 2, "cooldown": 0, "save_every": 2,
    "sample_every": 100, "precision": "no", "gradient_checkpointing": False, "unet": UNET,
}  # fmt: skip
TEXT = TextEncoderSettings(width=8, layers=1, heads=1, tokens=8, vocabulary=270, steps=1, rate=1e-3,
                         seed=0, stages=1)
SENTENCES = ["the duck swims to the left", "the blue balloon dips down", "the candle goes out"]


def tiny_vae(stride: int = 8, channels: int = 4, seed: int = 0) -> AutoencoderKL:
    """An untrained autoencoder."""
    torch.manual_seed(seed)
    levels = {4: 3, 8: 4}[stride]
    return AutoencoderKL(
        in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels, block_out_channels=(4,) * levels,
        layers_per_block=1, latent_channels=channels, norm_num_groups=2, scaling_factor=1.0,
    ).eval()  # fmt: skip


def tiny_image_encoder() -> CLIPVisionModelWithProjection:
    """An untrained image encoder: 5 tokens, 6 wide."""
    torch.manual_seed(2)
    config = image_encoder_config(6, 2, 1, patch=14, side=28, projection=4)
    return CLIPVisionModelWithProjection(config).eval()


def tiny_base(folder: Path) -> Path:
    """A model folder with vae/, text_encoder/ and tokenizer/."""
    tiny_vae().save_pretrained(folder / "vae")
    torch.manual_seed(1)
    tokenizer = train_tokenizer(SENTENCES, TEXT)
    tokenizer.save_pretrained(folder / "tokenizer")
    build_text_encoder(tokenizer, TEXT).save_pretrained(folder / "text_encoder")
    return folder


def tiny_shards(folder: Path, clips: int = 10, seed: int = 0) -> Shards:
    """Drawn clips of 16 x 16 pixels and 3 frames, in shards of 4."""
    settings = PrepareSettings(HeatmapSettings(floor=0.05), LatentGeometry(8, 1), 4, 16)
    source = SceneClips(clips, "train", 16, 3, seed)
    list(prepare(source, folder, tiny_vae(), settings, described={"clips": clips, "seed": seed},
                 workers=0))
    return Shards(folder)


def assignments(**changed: Any) -> list[str]:
    """The settings as `--set key=value` arguments."""
    values = {**SETTINGS, **changed}
    return [a for key, value in values.items() for a in ("--set", f"{key}={json.dumps(value)}")]


def fresh_accelerator() -> None:
    """Forget the one Accelerator that a process may have, so that a test can choose precision."""
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def tiny_settings(**changed: Any) -> TrainingSettings:
    """SETTINGS on top of the preset of the synthetic scenes."""
    return resolve("scenes", {**SETTINGS, **changed})


def tiny_run(folder: Path, base: Path, shards: Shards, **changed: Any) -> Run:
    """A run on the CPU with one thread, begun or resumed in `folder`."""
    fresh_accelerator()
    torch.set_num_threads(1)
    settings = tiny_settings(**changed)
    accelerator = open_accelerator(settings.precision, cpu=True)
    return start(folder, shards, load_text(base), settings, accelerator)


def weights(run: Run) -> dict[str, torch.Tensor]:
    """All that training changes: the network's weights and their average, by name."""
    named = list(run.accelerator.unwrap_model(run.unet).named_parameters())
    pairs = zip(named, run.average.shadow_params, strict=True)
    return {name: p.detach() for name, p in named} | {
        f"average {name}": average for (name, _), average in pairs
    }


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
