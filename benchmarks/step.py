"""A training step with the motion part of its loss, beside the same step without it.

A step is forward, loss, backward, clipping and optimiser of the scenes preset (batch 16, latents
8 x 8 x 16). What the motion part adds is smaller than the noise between two steps, so the loss is
timed alone as well, forward and backward, beside torch's own mean squared error.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from denoiser import config, denoiser, inputs
from measure import RATIO_HEADER, Times, machine, markdown, parser, ratio_rows, read, take_turns
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from motifocal.data.shards import LatentBatch
from motifocal.loss.focal import motion_focal_loss
from motifocal.models.schedule import noise_schedule
from motifocal.training.optimizer import build_optimizer
from motifocal.training.presets import SCENES, TrainingSettings
from motifocal.training.step import draw_noise, training_step

MOTIF = SCENES
PLAIN = SCENES.model_copy(update={"motif_weight": 0.0, "motif_variant": "none"})
STEPS = ("step, plain loss", "step, MotiF")
LOSSES = ("loss alone, torch's mse_loss", "loss alone, MotiF")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=15)
    options.add_argument("--batch", type=int, default=16, help="clips; default: %(default)s")
    values = read(options, arguments)
    batch = 2 if values.quick else values.batch
    calls = 2 if values.quick else 200  # of the loss in one measurement
    ways = {**steps(batch, values.quick), **losses(batch, values.quick, calls)}
    times = take_turns(ways, values.rounds)
    for name in LOSSES:
        times[name] = [seconds / calls for seconds in times[name]]
    rows = [*ratio_rows(times, STEPS, STEPS[0]), *ratio_rows(times, LOSSES, LOSSES[0])]
    print(machine(values.rounds), markdown(RATIO_HEADER, rows), sep="\n\n")
    print(f"\nThe motion part takes {share(times):.2%} of a step.")


def share(times: Times) -> float:
    """What MotiF adds to the loss, over the whole step with the plain loss."""
    step, plain, motif = (
        statistics.median(times[name]) for name in (STEPS[0], LOSSES[0], LOSSES[1])
    )
    return (motif - plain) / step


def steps(batch: int, quick: bool) -> dict[str, Callable[[], object]]:
    """One whole optimiser step with the plain loss, and one with MotiF, of the same network."""
    unet = denoiser(config(quick)).train()
    given = inputs(unet.unet_config, batch, quick)
    data = LatentBatch(given.latents, heatmap_like(given.latents), [""] * batch, given.fps)
    draws = draw_noise(tuple(given.latents.shape), SCENES, torch.Generator().manual_seed(1))
    schedule = noise_schedule(SCENES.prediction_type, SCENES.zero_terminal_snr, SCENES.use_scale)
    # A rate so small that a hundred steps on noise change nothing that could change the time.
    optimizer = build_optimizer(
        SCENES.optimizer, unet, 1e-9, SCENES.weight_decay, ("conv_in", "conv_out")
    )

    def predict(*args: Any, **named: Any) -> Tensor:
        mixed = torch.autocast("cpu", torch.bfloat16)
        with mixed if SCENES.precision == "bf16" else nullcontext():
            return unet(*args, **named).float()

    def step(settings: TrainingSettings) -> None:
        optimizer.zero_grad(set_to_none=True)
        with sdpa_kernel(SDPBackend.MATH):  # as the training loop does on a CPU
            loss = training_step(
                predict, data, given.text, given.text[:1], draws, schedule, settings
            )
        loss.total.mean().backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), settings.max_grad_norm)
        optimizer.step()

    return {STEPS[0]: lambda: step(PLAIN), STEPS[1]: lambda: step(MOTIF)}


def losses(batch: int, quick: bool, calls: int) -> dict[str, Callable[[], object]]:
    """The loss alone, forward and backward, `calls` times: torch's and ours."""
    target = inputs(config(quick), batch, quick).latents
    prediction = torch.randn_like(target).requires_grad_()
    heatmap = heatmap_like(target)

    def plain() -> Tensor:
        return functional.mse_loss(prediction, target)

    def motif() -> Tensor:
        # The values were checked where the heatmaps were made, as in training.
        return motion_focal_loss(prediction, target, heatmap, check=False).total.mean()

    def repeated(loss: Callable[[], Tensor]) -> None:
        for _ in range(calls):
            prediction.grad = None
            loss().backward()

    return {LOSSES[0]: lambda: repeated(plain), LOSSES[1]: lambda: repeated(motif)}


def heatmap_like(latents: Tensor) -> Tensor:
    """(B, 1, F, h, w) in [0, 1]: a tenth of the places is hot."""
    draws = torch.rand(latents[:, :1].shape, generator=torch.Generator().manual_seed(2))
    return (draws < 0.1).float()


if __name__ == "__main__":
    main()
