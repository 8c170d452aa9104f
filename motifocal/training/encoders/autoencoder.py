"""Train a small AutoencoderKL on frames of the synthetic scenes, the bundled model's first stage.

Letters: B frames in a batch, H W pixels, C h w latents. Losses are our choice (no perceptual
network can be assumed): squared and absolute error and a light Kullback-Leibler term.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from motifocal.files.atomic import replacing_folder
from motifocal.files.json_text import parse_json
from motifocal.files.settings import lock_settings
from motifocal.scenes.render import render
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.variant import STANDARD, SceneVariant
from motifocal.training.checkpoint import load_checkpoint, save_checkpoint, seed_everything
from motifocal.training.optimizer import build_optimizer, learning_rate, set_rate
from motifocal.training.run_folder import fingerprint

FRAMES_PER_CLIP = 2


@dataclass(frozen=True)
class AutoencoderSettings:
    """Everything that decides what a training of the autoencoder computes.

    `variant` is the kind of scenes of half of the clips; the others are standard ones.
    """

    size: int
    channels: tuple[int, ...]
    latent_channels: int
    steps: int
    batch: int
    rate: float
    warmup: int
    kl: float
    absolute: float
    average: float
    seed: int
    save_every: int
    variant: SceneVariant = STANDARD


# Two phases: everything, then the decoder alone while the denoiser is trained on the latents.
BUNDLED_AUTOENCODER = AutoencoderSettings(
    size=64, channels=(32, 48, 64, 96), latent_channels=8, steps=1500, batch=16, rate=2e-3,
    warmup=50, kl=5e-5, absolute=0.2, average=0.99, seed=0, save_every=100,
)  # fmt: skip


BUNDLED_DECODER = replace(BUNDLED_AUTOENCODER, steps=600, batch=16, rate=1e-3, seed=1)


class SceneFrames(Dataset[torch.Tensor]):
    """Item k is the batch of step k, (B, 3, H, W) in [-1, 1]: a function of (seed, k) alone."""

    def __init__(self, settings: AutoencoderSettings) -> None:
        self.settings = settings
        self.scenarios = sorted(SCENARIOS)

    def __len__(self) -> int:
        return self.settings.steps

    def __getitem__(self, step: int) -> torch.Tensor:
        rng = np.random.default_rng([self.settings.seed, step])
        variants = (self.settings.variant, STANDARD)
        clips = [self._clip(rng, variants[k % 2])
                 for k in range(self.settings.batch // FRAMES_PER_CLIP)]
        frames = torch.from_numpy(np.concatenate(clips)).permute(0, 3, 1, 2)
        return frames.float() / 127.5 - 1

    def _clip(self, rng: np.random.Generator, variant: SceneVariant) -> np.ndarray:
        """Draw a few frames at random times of a random training clip."""
        scenario = str(rng.choice(self.scenarios))
        stage = make_stage(scenario, "train", int(rng.integers(2**31)), variant)
        action = stage.actions[rng.integers(len(stage.actions))]
        clip = render(stage, action, size=self.settings.size, frames=int(rng.integers(3, 5)))
        chosen = rng.permutation(len(clip.frames))[:FRAMES_PER_CLIP]
        return clip.frames[np.sort(chosen)]


def build_autoencoder(settings: AutoencoderSettings) -> AutoencoderKL:
    """Build an autoencoder with random weights; its stride is 2^(levels - 1)."""
    levels = len(settings.channels)
    model = AutoencoderKL(
        in_channels=3, out_channels=3, block_out_channels=settings.channels, layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        latent_channels=settings.latent_channels, norm_num_groups=8, sample_size=settings.size,
    )  # fmt: skip
    # Begin with almost no posterior noise (log variance -6): at the default of 0 it drowns the
    # latents, and thousands of steps go into outgrowing it.
    torch.nn.init.constant_(model.quant_conv.bias[settings.latent_channels :], -6.0)
    return model


def reconstruction_loss(made: torch.Tensor, frames: torch.Tensor, absolute: float) -> torch.Tensor:
    """Return twice the mean squared error plus `absolute` times the mean absolute error."""
    error = made - frames
    return 2 * error.square().mean() + absolute * error.abs().mean()


def train_autoencoder(
    folder: Path, settings: AutoencoderSettings, workers: int = 1,
    finished: AutoencoderKL | None = None, device: str = "cpu",
) -> Iterator[dict[str, float]]:  # fmt: skip
    """Train into `folder`, going on from its newest checkpoint; yields one log line a step.

    After the last step `folder/vae` holds the averaged weights, with the scaling factor that
    makes latents of the training frames have unit variance. With a `finished` autoencoder only its
    decoder is trained further: a denoiser that was trained on its latents stays valid.
    Frames are drawn on the CPU, and `device` computes.
    """
    torch.manual_seed(settings.seed)
    decoder_of = {"decoder_of": fingerprint(finished)} if finished else {}
    model = _without_encoder(finished) if finished else build_autoencoder(settings)
    nn.Module.to(model, device)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.average))
    adamw_names = ("encoder.conv_in", "decoder.conv_out")
    optimizer = build_optimizer("muon", model, settings.rate, 0.0, adamw_names)
    parts: dict[str, Any] = {"model": model, "average": average, "optimizer": optimizer}
    done = _resume(folder, {**asdict(settings), **decoder_of}, parts)
    data = SceneFrames(settings)
    batches = DataLoader(
        data, batch_size=None, sampler=range(done, settings.steps), num_workers=workers
    )
    for step, frames in zip(range(done, settings.steps), batches, strict=True):
        began = time.perf_counter()
        set_rate(optimizer, learning_rate(
            step, peak=settings.rate, warmup=settings.warmup, total=settings.steps,
            cooldown=settings.steps - settings.warmup,
        ))  # fmt: skip
        loss = _step(model, optimizer, frames.to(device), settings,
                     seed_everything(settings.seed, step))
        average.update_parameters(model)
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            save_checkpoint(folder / "checkpoints", step + 1,
                            {name: part.state_dict() for name, part in parts.items()})
        yield {"step": step + 1, "loss": loss, "seconds": time.perf_counter() - began}
    made = average.module.eval().cpu()
    assert isinstance(made, AutoencoderKL)
    if finished is None:
        measure_scaling(made, data)
    with replacing_folder(folder / "vae") as temporary:
        made.save_pretrained(temporary)


def _without_encoder(model: AutoencoderKL) -> AutoencoderKL:
    """Keep the weights that make the latents: only the decoder is trained."""
    assert model.quant_conv is not None
    for part in (model.encoder, model.quant_conv):
        part.requires_grad_(False)
    return model


def _resume(folder: Path, settings: dict[str, Any], parts: dict[str, Any]) -> int:
    """Load the newest checkpoint into `parts`, with the same settings; returns its step, or 0."""
    state = load_checkpoint(folder / "checkpoints")
    if state is None:  # nothing was computed with other settings yet
        (folder / "autoencoder.json").unlink(missing_ok=True)
    lock_settings(folder / "autoencoder.json", parse_json(json.dumps(settings)))  # lists, no tuples
    if state is None:
        return 0
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])


def _step(
    model: AutoencoderKL, optimizer: torch.optim.Optimizer, frames: torch.Tensor,
    settings: AutoencoderSettings, generator: torch.Generator,
) -> float:  # fmt: skip
    frames = frames.to(memory_format=torch.channels_last)
    with torch.autocast(frames.device.type, torch.bfloat16):
        posterior = model.encode(frames).latent_dist
        made = model.decode(posterior.sample(generator)).sample
    loss = reconstruction_loss(made.float(), frames, settings.absolute)
    latents = posterior.mean[0].numel()
    total = loss + settings.kl * posterior.kl().float().mean() / latents
    if not torch.isfinite(total):
        raise FloatingPointError(f"autoencoder loss is {total.item()}; weights were left untouched")
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


@torch.no_grad()
def measure_scaling(model: AutoencoderKL, data: SceneFrames) -> None:
    """Set the scaling factor that makes latents of some training frames have unit variance."""
    latents = torch.cat([model.encode(data[k]).latent_dist.mode() for k in range(8)])
    model.register_to_config(scaling_factor=round(float(1 / latents.std()), 5))
