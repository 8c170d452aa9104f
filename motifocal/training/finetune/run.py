"""Fine-tune one transformer on a cache of clips, with the motion focal loss.

Letters: B batch, C channels, F' latent frames, h w latents.

The loop is that of every training here (`training.stepping`). Each sample's noise and time come
from a generator of its own, keyed by (seed, step, place in the global batch), so that a run that
is killed, or that goes on with other processes, computes what an unbroken one does.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor

from motifocal.data.shards import indices_of_step
from motifocal.files.atomic import write_text
from motifocal.files.settings import lock_settings
from motifocal.loss.focal import MotionFocalLoss
from motifocal.loss.motion_loss import motion_loss
from motifocal.training.checkpoint import load_checkpoint, mixed_seed, save_checkpoint
from motifocal.training.families.base import Family
from motifocal.training.finetune.adapter import add_lora, trained_weights
from motifocal.training.finetune.cache import ClipCache
from motifocal.training.finetune.settings import (
    FREE_TO_CHANGE,
    SETTINGS,
    FinetuneSettings,
    read_finetune_settings,
)
from motifocal.training.finetune.sharding import (
    gathered,
    is_sharded,
    optimizer_state,
    shard,
    sharded_like,
)
from motifocal.training.folders import keep_settings
from motifocal.training.log import TrainingLog
from motifocal.training.optimizer import build_optimizer, check_parameters
from motifocal.training.processes import check_same_step, first_process_decides
from motifocal.training.stepping import accumulate, not_finite, take_steps

INPUTS = "inputs.json"


@dataclass
class FinetuneRun:
    """What the fine-tuning of one transformer holds in memory."""

    settings: FinetuneSettings
    accelerator: Accelerator
    family: Family
    part: str
    network: Any  # a transformer, or what accelerate wrapped it into
    average: EMAModel | None
    optimizer: Any
    cache: ClipCache
    folder: Path
    step: int = 0

    @property
    def is_sharded(self) -> bool:
        """Whether all processes have to take part wherever the network computes."""
        return is_sharded(self.network)

    @property
    def weights(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by name."""
        return trained_weights(self.accelerator.unwrap_model(self.network))


def parts_of(settings: FinetuneSettings, family: Family) -> tuple[str, ...]:
    """Return the transformers that are trained, one after the other; ValueError for others."""
    parts = settings.parts or family.trained
    for part in parts:
        if part not in family.trained:
            raise ValueError(f"parts should be among {', '.join(family.trained)}, got {part!r}")
    return parts


def check_rates(settings: FinetuneSettings, family: Family, cache: ClipCache) -> None:
    """Raise ValueError for clips of several rates where a model is told one a batch."""
    rates = sorted({clip.fps for clip in cache.clips})
    if family.one_rate and settings.micro_batch > 1 and len(rates) > 1:
        words = ", ".join(f"{rate:g}" for rate in rates)
        raise ValueError(f"micro_batch should be 1 for {family.name} and clips of {words} frames/s "
                         f"in one cache, got {settings.micro_batch}")


def part_run_folder(folder: Path, family: Family, part: str) -> Path:
    """Return where the run of one transformer lies: a folder of its own where there are two."""
    return folder / part if len(family.trained) > 1 else folder


def check_sharding(settings: FinetuneSettings, accelerator: Accelerator) -> None:
    """Raise ValueError where weights cannot be sharded, or there is nothing to shard them over."""
    if accelerator.num_processes == 1:
        raise ValueError("--fsdp should have two processes or more (torchrun --nproc_per_node 2 -m "
                         "motifocal train ...), got 1")
    if settings.storage != "full":
        raise ValueError(f"storage should be full where weights are sharded, got "
                         f"{settings.storage}")
    if settings.optimizer != "adamw":
        raise ValueError("optimizer should be adamw where weights are sharded, since muon needs "
                         f"whole matrices, got {settings.optimizer}")


def lock_finetune(
    folder: Path, settings: FinetuneSettings, cache: ClipCache, family: Family, done: int,
    base: str,
) -> None:  # fmt: skip
    """Keep settings, data and base model of a run; refuse to go on (`done` steps) with others.

    `base` is the `base_digest` of what is trained.
    """
    inputs = {"clips": cache.digest, "family": family.name, "weights": cache.settings["weights"],
              "base": base}  # fmt: skip
    if done:
        lock_settings(folder / INPUTS, inputs, upgrade=lambda stored: {"base": base, **stored})
    keep_settings(folder / SETTINGS, settings, read_finetune_settings, FREE_TO_CHANGE, done)
    write_text(folder / INPUTS, json.dumps(inputs, indent=1) + "\n")


def start(
    folder: Path, cache: ClipCache, family: Family, part: str, transformer: Any,
    settings: FinetuneSettings, accelerator: Accelerator,
    notify: Callable[[str], None] = warnings.warn, fsdp: bool = False, base: str = "",
) -> FinetuneRun:  # fmt: skip
    """Set up the run of one transformer, from its newest checkpoint where there is one.

    `transformer` is as `load_trained` gave it. `notify` is told of damaged checkpoints that are
    passed over. `fsdp` shards the network over the processes, where each has it whole otherwise.
    `base` is its `base_digest`. Raises ValueError where the folder belongs to a run with other
    settings, clips or base.
    """
    settings.accumulation(accelerator.num_processes)
    state = load_checkpoint(folder / "checkpoints", notify)
    step = state["step"] if state else 0
    with first_process_decides(accelerator) as first:
        if first:
            lock_finetune(folder, settings, cache, family, step, base)
    check_same_step(accelerator, step)
    make_trainable(transformer, settings, family)
    if state is not None:
        load_trained_weights(transformer, state["weights"])
    transformer.train()
    wrapped = shard(transformer, accelerator) if fsdp else accelerator.prepare(transformer)
    trained = accelerator.unwrap_model(wrapped)
    optimizer = build_optimizer(settings.optimizer, trained, settings.learning_rate,
                                settings.weight_decay)  # fmt: skip
    check_parameters(optimizer, trained)
    average = None
    if settings.ema_decay:
        average = EMAModel(trained_weights(trained).values(), decay=settings.ema_decay,
                           use_ema_warmup=True, power=0.75)  # fmt: skip
    if state is not None:
        optimizer.load_state_dict(optimizer_state(state["optimizer"], optimizer))
        if average is not None:
            average.load_state_dict(state["average"])
            pairs = zip(average.shadow_params, trained_weights(trained).values(), strict=True)
            average.shadow_params = [sharded_like(value, weight) for value, weight in pairs]
    return FinetuneRun(settings, accelerator, family, part, wrapped, average, optimizer, cache,
                       folder, step)  # fmt: skip


def make_trainable(transformer: Any, settings: FinetuneSettings, family: Family) -> None:
    """Store frozen weights as the settings say, and add what is trained."""
    if settings.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    if settings.storage == "fp8":
        transformer.enable_layerwise_casting(
            storage_dtype=torch.float8_e4m3fn,
            compute_dtype=getattr(torch, settings.precision),
        )  # fmt: skip
    torch.manual_seed(settings.seed)
    if settings.lora_rank is None:
        transformer.requires_grad_(True).float()
    else:
        add_lora(transformer, settings.lora_rank, settings.alpha,
                 settings.lora_targets or family.lora_targets)  # fmt: skip


def load_trained_weights(transformer: Any, weights: dict[str, Tensor]) -> None:
    """Put the weights of a checkpoint in place; ValueError where they are not those trained."""
    trained = trained_weights(transformer)
    if trained.keys() != weights.keys():
        raise ValueError(f"checkpoint should hold {len(trained)} trained weights, got "
                         f"{len(weights)}")
    for name, value in weights.items():
        trained[name].data.copy_(value)


def train(run: FinetuneRun, log: TrainingLog | None = None) -> Iterator[dict[str, float]]:
    """Take the steps that are left; see `take_steps`."""
    return take_steps(run, partial(optimiser_step, run), partial(save, run), log)


def optimiser_step(run: FinetuneRun) -> dict[str, float]:
    """Take one global batch, then average where an average is kept."""
    s = run.settings
    chosen = indices_of_step(run.step, len(run.cache), s.global_batch, s.seed)

    def compute(place: int) -> tuple[MotionFocalLoss, list[str]]:
        places = range(place * s.micro_batch, (place + 1) * s.micro_batch)
        generators = [sample_generator(s.seed, run.step, i) for i in places]
        torch.manual_seed(mixed_seed(s.seed, run.step, 1 + place))  # of dropout
        return sample_losses(run, [chosen[i] for i in places], generators)

    line = accumulate(run, run.network, compute)
    if run.average is not None:
        run.average.step(run.weights.values())
    return line


def sample_generator(seed: int, step: int, place: int) -> torch.Generator:
    """Return the generator of all that is random in one sample of a step."""
    return torch.Generator().manual_seed(mixed_seed(seed, step, place, 1))


def sample_losses(
    run: FinetuneRun, indices: Sequence[int], generators: Sequence[torch.Generator]
) -> tuple[MotionFocalLoss, list[str]]:
    """Return the loss of every one of these clips, and words for those that are not finite."""
    batch, weights = run.cache.batch(indices, run.accelerator.device)
    draw = run.family.draw(batch["latents"], generators, run.part)
    prediction = run.family.forward(run.network, draw, batch)
    loss = motion_loss(prediction, draw.target, weights, run.family.geometry,
                       run.settings.motif_weight, variant=run.settings.motif_variant,
                       timestep_weight=run.family.plain_loss_weight(draw))  # fmt: skip
    return loss, not_finite(loss.total, draw.time, run.cache.captions(indices))


def save(run: FinetuneRun) -> None:
    """Write the checkpoint of the current step; all processes take part, the first one writes."""
    state: dict[str, Any] = {
        "weights": {name: p.detach() for name, p in run.weights.items()},
        "optimizer": run.optimizer.state_dict(),
    }
    if run.average is not None:
        state["average"] = run.average.state_dict()
    main = run.accelerator.is_main_process
    state = gathered(state, keep=main)
    if main:
        save_checkpoint(run.folder / "checkpoints", run.step, state)
    run.accelerator.wait_for_everyone()
