"""The loop shared by all trainings: optimiser steps of accumulated micro-batches, checkpoints.

What a micro-batch computes is the caller's; nothing here knows of a network or of data. Micro-batch
`part` of process p has place `part * processes + p` in the global batch, and whatever is random in
it is a function of (seed, step, place), so that the number of processes changes nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from motifocal.loss.focal import MotionFocalLoss
from motifocal.training.log import TrainingLog
from motifocal.training.optimizer import learning_rate, set_rate
from motifocal.training.processes import clip_gradients, gather_places

#: Takes a place in the global batch; gives the loss of every sample and words for each bad one.
Compute = Callable[[int], tuple[MotionFocalLoss, list[str]]]


class NonFiniteLoss(FloatingPointError):  # noqa: N818
    """The loss became nan or infinite; the optimiser step was not taken."""


class Settings(Protocol):
    """The settings that the loop reads."""

    @property
    def steps(self) -> int: ...
    @property
    def save_every(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def warmup(self) -> int: ...
    @property
    def cooldown(self) -> int: ...
    @property
    def max_grad_norm(self) -> float: ...
    def accumulation(self, processes: int) -> int:
        """Micro-batches per optimiser step."""


class SteppedRun(Protocol):
    """A training that stands at `step`."""

    accelerator: Accelerator
    optimizer: Any
    step: int

    @property
    def settings(self) -> Settings: ...


def take_steps(
    run: SteppedRun, optimiser_step: Callable[[], dict[str, float]], save: Callable[[], None],
    log: TrainingLog | None = None,
) -> Iterator[dict[str, float]]:  # fmt: skip
    """Take the steps that are left; yields one log line for each, and writes it to `log`.

    Lines reach the disk before the checkpoint of their step does, so that none is lost to a kill.
    Raises NonFiniteLoss before an optimiser step that would spoil the weights.
    """
    settings = run.settings
    while run.step < settings.steps:
        began = time.perf_counter()
        line = optimiser_step()
        run.step += 1
        line = {"step": run.step, **line, "seconds": time.perf_counter() - began}
        if log is not None:
            log.write(line)
        if run.step % settings.save_every == 0 or run.step == settings.steps:
            if log is not None:
                log.flush()
            save()
        yield line


def accumulate(run: SteppedRun, network: Any, compute: Compute) -> dict[str, float]:
    """Take one global batch: the gradients of its micro-batches, clipped, then a step.

    `network` is what accelerate wrapped. Returns the mean losses, the gradient's norm, the rate.
    """
    settings, accelerator = run.settings, run.accelerator
    parts = settings.accumulation(accelerator.num_processes)
    rate = learning_rate(run.step, peak=settings.learning_rate, warmup=settings.warmup,
                         total=settings.steps, cooldown=settings.cooldown)
    set_rate(run.optimizer, rate)
    run.optimizer.zero_grad(set_to_none=True)
    losses, blame = [], []
    for part in range(parts):
        place = part * accelerator.num_processes + accelerator.process_index
        with accelerator.no_sync(network) if part + 1 < parts else nullcontext():
            loss, bad = compute(place)
            blame += bad
            (loss.total.mean() / parts).backward()
        losses.append(torch.stack([x.detach().mean() for x in loss]))
    means = gather_places(accelerator, torch.stack(losses)).mean(0)
    if not torch.isfinite(means).all():  # known to every process, so that none waits for another
        where = "; ".join(gather_object(blame)[:3])
        raise NonFiniteLoss(f"loss is not finite at step {run.step} ({where}); weights untouched")
    norm = clip_gradients(network.parameters(), settings.max_grad_norm)
    if not math.isfinite(norm):
        raise NonFiniteLoss(f"gradient norm is {norm} at step {run.step}; weights untouched")
    run.optimizer.step()
    return {"loss": float(means[0]), "diffusion": float(means[1]), "motion": float(means[2]),
            "norm": norm, "rate": rate}


def not_finite(total: Tensor, times: Tensor, captions: list[str]) -> list[str]:
    """Return the clips and times (B,) whose loss (B,) is nan or infinite, in words."""
    bad = (~torch.isfinite(total.detach())).nonzero().flatten().tolist()
    return [f"t={times[i].item():.4g} {captions[i]!r}" for i in bad]
