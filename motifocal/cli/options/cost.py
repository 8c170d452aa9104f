"""`train --dry-run --cost`: what a training takes, printed without shards and without weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import together
from motifocal.cli.output.progress import announce

if TYPE_CHECKING:
    from motifocal.training.presets import TrainingSettings

#: Latents (F, h, w) of each preset, where there are no shards: those that it was made for.
LATENTS = {"paper": (16, 40, 64), "scenes": (16, 8, 8)}


#: --cost, --tflops, --utilisation and --devices, as `print_cost` takes them.
cost_options = together(
    click.option("--cost", is_flag=True, is_eager=True,
                 help="With --dry-run: print the network's parameters, memory by part, FLOPs and "
                 "hours. Needs no shards, output or model; nothing is saved."),
    click.option("--tflops", type=click.FloatRange(min=0, min_open=True), default=312.0,
                 show_default=True, help="With --cost: peak TFLOP/s of a device; 312 is an A100 "
                                    "in bfloat16."),
    click.option("--utilisation", type=click.FloatRange(0, 1, min_open=True), default=0.4,
                 show_default=True, help="With --cost: the fraction of the peak that is reached."),
    click.option("--devices", type=click.IntRange(1), help="With --cost: number of devices.  "
                 "[default: as many as take one micro-batch each]"),
)


class _Spared(click.Parameter):
    """A parameter that is required, but not for --cost."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        self.required = not ctx.params.get("cost")
        try:
            return super().process_value(ctx, value)
        finally:
            self.required = True


class SparedArgument(_Spared, click.Argument):
    """An argument that is required, but not for --cost."""


class SparedOption(_Spared, click.Option):
    """An option that is required, but not for --cost."""


def print_cost(
    settings: TrainingSettings, shards: Path | None, options: dict[str, Any]
) -> None:
    """Print what a training with these settings takes, on the latents of shards if there are any.
    """
    from motifocal.training.measurement.cost import training_cost

    if not options["dry_run"]:
        raise click.UsageError("--cost goes with --dry-run")
    announce("building the network without contents")
    frames, height, width = _latents(shards) or LATENTS[options["preset"]]
    devices = options["devices"] or settings.global_batch // settings.micro_batch
    cost = training_cost(settings, (frames, height, width), devices)
    gib = 2**30
    lines = [f"parameters: {cost.parameters:,}", f"memory of each of {devices} devices:"]
    lines += [f"  {part}: {size / gib:.2f} GiB" for part, size in cost.memory.items()]
    lines += [
        f"  together: {sum(cost.memory.values()) / gib:.2f} GiB",
        f"activations of a sample: {cost.activations.all / gib:.2f} GiB, with gradient "
        f"checkpointing {cost.activations.checkpointed / gib:.2f} GiB",
        f"forward pass of {frames} x {height} x {width} latents: {cost.forward / 1e12:.4g} TFLOP",
        f"step of {settings.global_batch} samples: {cost.step / 1e12:.4g} TFLOP",
        f"{settings.steps} steps: {cost.hours(options['tflops'], options['utilisation']):.3g} "
        f"hours on {devices} x {options['tflops']:g} TFLOP/s at {options['utilisation']:.0%}",
    ]
    click.echo("\n".join(lines))


def _latents(shards: Path | None) -> tuple[int, int, int] | None:
    from motifocal.data.shards import Shards

    if shards is None:
        return None
    _, frames, height, width = Shards(shards).latent_shape
    return frames, height, width
