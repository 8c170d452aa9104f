"""Train a denoiser on prepared shards; a run can be resumed at any moment.

Letters: B batch, C channels, F frames, h w latents, L tokens, D text width.

Every random draw is a function of (seed, optimiser step, micro-batch), and a checkpoint is written
between optimiser steps, atomically. So a run that is killed and started again with the same
command computes what an unbroken run computes, bit for bit (as far as the device's kernels are
deterministic: the CPU's are, some of a GPU's add up in any order).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPVisionModelWithProjection, PreTrainedTokenizerBase

from motifocal.data.shards import LatentBatch, Shards, epochs_of_step, indices_of_step
from motifocal.loss.focal import MotionFocalLoss
from motifocal.models.image.encoder import grey_tokens
from motifocal.models.pipeline_parts import check_image_encoder
from motifocal.models.schedule import NoiseSchedule, noise_schedule
from motifocal.models.text import encode_text
from motifocal.models.unet import TI2VUNet
from motifocal.training.checkpoint import load_checkpoint, mixed_seed, save_checkpoint
from motifocal.training.first_weights import first_weights
from motifocal.training.folders import keep_settings, settings_path
from motifocal.training.log import TrainingLog
from motifocal.training.optimizer import build_optimizer, check_parameters
from motifocal.training.presets import TrainingSettings, read_settings
from motifocal.training.processes import check_same_step, first_process_decides
from motifocal.training.step import draw_noise, training_step
from motifocal.training.stepping import accumulate, not_finite, take_steps

CACHE_BYTES = 2**28  # of text features; a ViT-H caption has 315 kB of them
# What may change between two starts of one run: it decides nothing that was computed so far.
# (The number of steps does from the cool-down on.)
FREE_TO_CHANGE = frozenset({"save_every", "sample_every", "steps"})


@dataclass
class TextFeatures:
    """Features (B, L, D) of captions by the frozen text encoder, each caption computed once.

    One caption at a time: in a batch the last bits of its features would depend on the others,
    and so on which of them an interrupted run had met before.
    """

    tokenizer: PreTrainedTokenizerBase
    text_encoder: CLIPTextModel
    cache: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def __call__(self, captions: list[str]) -> Tensor:
        features = []
        for caption in captions:
            if caption not in self.cache:
                encoded = encode_text(self.tokenizer, self.text_encoder, [caption])[0]
                if (len(self.cache) + 1) * encoded.nbytes > CACHE_BYTES:
                    self.cache.clear()
                self.cache[caption] = encoded
            features.append(self.cache[caption])
        return torch.stack(features)


@dataclass
class Run:
    """What one training holds in memory."""

    settings: TrainingSettings
    accelerator: Accelerator
    unet: Any  # a TI2VUNet, or what accelerate wrapped it into
    average: EMAModel
    optimizer: Any
    text: TextFeatures
    schedule: NoiseSchedule
    shards: Shards
    folder: Path
    step: int = 0
    image_encoder: CLIPVisionModelWithProjection | None = None
    blank: Tensor | None = None  # its tokens of no image, (1, N, E)


def start(
    folder: Path, shards: Shards, text: TextFeatures, settings: TrainingSettings,
    accelerator: Accelerator, unet: TI2VUNet | None = None,
    notify: Callable[[str], None] = warnings.warn,
    image_encoder: CLIPVisionModelWithProjection | None = None,
) -> Run:
    """Set up a run in `folder`, from its newest checkpoint where there is one.

    `accelerator` is what `open_accelerator` gave. `unet` gives first weights (an imported model);
    without it a fresh network is built from the settings. `notify` is told of damaged checkpoints
    that are passed over. `image_encoder` made the tokens of the shards, where the network takes
    them. Raises ValueError when the latents do not fit the network, or when the folder belongs to a
    run with other settings.
    """
    settings.accumulation(accelerator.num_processes)
    torch.manual_seed(settings.seed)
    unet = TI2VUNet.build(settings.unet) if unet is None else first_weights(unet, settings.unet)
    check_image_encoder(settings.unet, image_encoder)
    check_fit(settings, shards, text.text_encoder.config.hidden_size)
    state = load_checkpoint(folder / "checkpoints", notify)
    step = state["step"] if state else 0
    with first_process_decides(accelerator) as first:
        if first:
            lock_run(folder, settings, step)
    check_same_step(accelerator, step)
    if settings.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    if state is not None:
        unet.load_state_dict(state["unet"])
    wrapped = accelerator.prepare(unet.train())
    # From here on, of what is really trained: `prepare` may have moved the weights.
    trained = accelerator.unwrap_model(wrapped)
    average = EMAModel(trained.parameters(), decay=settings.ema_decay, use_ema_warmup=True,
                       power=0.75, foreach=True)
    optimizer = build_optimizer(settings.optimizer, trained, settings.learning_rate,
                                settings.weight_decay, adamw_names=("conv_in", "conv_out"))
    check_parameters(optimizer, trained)
    if state is not None:
        average.load_state_dict(state["average"])
        average.to(accelerator.device)
        optimizer.load_state_dict(state["optimizer"])
    text.text_encoder.requires_grad_(False).to(accelerator.device).eval()
    schedule = noise_schedule(settings.prediction_type, settings.zero_terminal_snr,
                              settings.use_scale)
    blank = None if image_encoder is None else grey_tokens(image_encoder).to(accelerator.device)
    return Run(settings, accelerator, wrapped, average, optimizer, text, schedule, shards, folder,
               step, image_encoder, blank)


def check_fit(settings: TrainingSettings, shards: Shards, text_width: int) -> None:
    """Raise ValueError where the network cannot take these latents or this width of text."""
    if settings.unet.image_condition == "none":
        raise ValueError("image_condition should be 'concat', 'attention' or 'both' to be trained, "
                         "got 'none'")
    shapes = shards.files[0].shapes
    tokens = shapes.get("image_tokens", (0, 0, None))
    if settings.unet.takes_encoded_tokens and tokens[2] != settings.unet.image_token_dim:
        raise ValueError(f"shards should hold image tokens, {settings.unet.image_token_dim} wide, "
                         f"got {tokens[2]}; prepare them with --image-tokens")
    if settings.unet.motion_score and "motion_score" not in shapes:
        raise ValueError("shards should hold a motion score; prepare them with --prior score")
    channels = settings.unet.latent_channels
    if shards.latent_shape[0] != channels:
        raise ValueError(f"latents should have {channels} channels, got {shards.latent_shape[0]}")
    height, width = shards.latent_shape[-2:]
    divisor = settings.unet.spatial_divisor
    if height % divisor or width % divisor:
        raise ValueError(f"latents should divide by {divisor}, got {height}x{width}")
    width = settings.unet.cross_attention_dim
    if text_width != width:
        raise ValueError(f"text encoder should be {width} wide, got {text_width}")


def lock_run(folder: Path, settings: TrainingSettings, done: int) -> None:
    """Keep the settings beside the run, of which `done` steps are taken; see `keep_settings`."""
    keep_settings(settings_path(folder), settings, read_settings, FREE_TO_CHANGE, done)


def train(run: Run, log: TrainingLog | None = None) -> Iterator[dict[str, float]]:
    """Take the steps that are left; see `take_steps`."""
    return take_steps(run, partial(_optimiser_step, run), partial(save, run), log)


def _optimiser_step(run: Run) -> dict[str, float]:
    """Take one global batch, then average."""
    settings, accelerator = run.settings, run.accelerator
    # Drawn for the whole global batch: how it is split does not change it.
    generator = torch.Generator().manual_seed(mixed_seed(settings.seed, run.step))
    random = draw_noise((settings.global_batch, *run.shards.latent_shape), settings, generator)

    def compute(place: int) -> tuple[MotionFocalLoss, list[str]]:
        rows = slice(place * settings.micro_batch, (place + 1) * settings.micro_batch)
        batch, own = _micro_batch(run, rows), random.rows(rows, accelerator.device)
        text, empty = run.text(batch.captions), run.text([""])
        torch.manual_seed(mixed_seed(settings.seed, run.step, 1 + place))  # of dropout
        loss = training_step(run.unet, batch, text, empty, own, run.schedule, settings,
                             run.blank)
        return loss, not_finite(loss.total, own.timesteps, batch.captions)

    line = accumulate(run, run.unet, compute)
    run.average.step(accelerator.unwrap_model(run.unet).parameters())
    return line


def _micro_batch(run: Run, rows: slice) -> LatentBatch:
    """Return these rows of the global batch, on the accelerator."""
    s = run.settings
    chosen = indices_of_step(run.step, len(run.shards), s.global_batch, s.seed)
    epochs = epochs_of_step(run.step, len(run.shards), s.global_batch)
    batch = run.shards.batch(chosen[rows], epochs[rows], s.seed)
    return batch.to(run.accelerator.device)


def save(run: Run) -> None:
    """Write the checkpoint of the current step (main process only)."""
    if run.accelerator.is_main_process:
        save_checkpoint(run.folder / "checkpoints", run.step, {
            "unet": run.accelerator.unwrap_model(run.unet).state_dict(),
            "average": run.average.state_dict(),
            "optimizer": run.optimizer.state_dict(),
        })
    run.accelerator.wait_for_everyone()


def averaged_unet(run: Run) -> TI2VUNet:
    """Return a network of the averaged weights, in eval mode: it shares the average's memory.

    Nothing is copied, so it changes with the next step, and its weights are not to be changed.
    """
    trained = run.accelerator.unwrap_model(run.unet)
    with torch.device("meta"):
        unet = TI2VUNet.build(trained.unet_config)
    names = (name for name, _ in trained.named_parameters())
    averages = dict(zip(names, run.average.shadow_params, strict=True))
    unet.load_state_dict({**trained.state_dict(), **averages}, assign=True)
    return unet.requires_grad_(False).eval()
