"""`motifocal bench run`: animate every pair of a benchmark with a model; resume if stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.benchmark import bench_options, chosen, parse_shard
from motifocal.cli.options.declare import output_option
from motifocal.cli.options.sampling import refuse_sampling, sampling_of, sampling_options
from motifocal.cli.options.scale import LOCAL, ray_option, workers_of
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import phase, progress, quiet_option
from motifocal.cli.output.unread import note_unread

if TYPE_CHECKING:
    from motifocal.bench.run import Outcome
    from motifocal.generate.model import Model, Sampling


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal bench run --bench TI2V-Bench --model Lightricks/LTX-Video -o results/ltx --device cuda
  motifocal bench run --bench drawn --model bundled -o results/bundled
  motifocal bench run --bench drawn --model bundled -o results/bundled --shard 1/2
  motifocal bench run --bench drawn --model bundled -o results/bundled --ray head:6379
  motifocal bench run --bench mine --own-pairs -o results/mine --name Mine --timeout 600 \\
    --command 'python infer.py --image {image} --prompt {prompt} --out {output} --seed {seed}'
""")
@bench_options
@click.option("--model", metavar="MODEL", help="bundled, a Motifocal folder, or a diffusers "
              "image-to-video pipeline by folder or hub id.")
@click.option("--command", metavar="TEMPLATE", help="Any program instead: {image}, {prompt}, "
              "{output} and {seed} are filled in; or {batch}, a JSONL file of many jobs.")
@click.option("--name", help="The model's name in tables.  [default: from --model]")
@output_option("The folder of results; run again to resume.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=1, show_default=True,
              help="Videos per pair, with the seeds 0, 1, ...")
@click.option("--shard", metavar="I/N", default="1/1", show_default=True, callback=parse_shard,
              help="Make only part I of N; the parts can run at the same time into one folder.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True,
              help="Videos made at once (with {batch}: jobs a file); part of what decides them, "
              "to the last bit.")
@click.option("--timeout", type=click.FloatRange(min=1), metavar="SECONDS",
              help="With --command: how long one process may take.")
@sampling_options
@ray_option
@quiet_option
def run(model: str | None, command: str | None, name: str | None, output: Path, seeds: int,
        shard: tuple[int, int], batch: int, timeout: float | None, ray: str | None,
        **options: Any) -> None:
    # fmt: on
    """Animate every pair of a benchmark with a model.

    The folder of results gets the videos, the images as the model got them, and a manifest with a
    line for every video. It can be stopped at any time; the same command resumes. A video that
    fails is recorded, the run continues, and the exit code is 1; the same command tries it again.
    """
    from motifocal.bench.results import Results

    sampling = {key: options.pop(key) for key in list(options) if key not in BENCH}
    _check_choice(model, command, name, timeout, sampling)
    benchmark = chosen(**options)
    lock_output(output, None if shard[1] == 1 else f"{shard[0]}-of-{shard[1]}")
    with phase("loading the model"):
        from motifocal.bench.run import Shard, run_on
        from motifocal.data.workers.here import Here
        from motifocal.generate.frame_model import FrameModel
        from motifocal.generate.model import ModelInfo

        choices = None if model is None else sampling_of(
            sampling, elsewhere=ray not in (None, LOCAL))
        loader = partial(_loader, model, command, name, timeout, output, seeds)
        workers = workers_of(ray, None, Here(), gpus=_gpus(ray, choices))
        # Workers of a cluster have their own; here it only says what it is, and takes no GPU.
        load = cache(loader(choices)) if ray is None else loader(choices)
        own = load() if ray is None else loader(_on_cpu(choices))()
        opened = ModelInfo.of(own)
        for note in own.notes if isinstance(own, FrameModel) else ():
            click.echo(f"note: {note}", err=True)
    note_unread(opened.text_limit, [*(pair.prompt for pair in benchmark.pairs),
                                    sampling["negative_prompt"] or ""])
    settings = {**opened.settings, "batch": batch}
    results = Results(output, name or opened.name, settings, benchmark, tuple(range(seeds)),
                      opened.format)
    outcomes = run_on(workers, load, opened, results, shard=Shard(*shard), batch=batch)
    chunks = -(-len(results.expected()) // batch)
    total = min(len(results.expected()), len(range(shard[0] - 1, chunks, shard[1])) * batch)
    failed = _follow(outcomes, total)
    click.echo(output)
    sys.exit(1 if failed else 0)


BENCH = ("bench", "table", "own_pairs", "subset", "limit")


def _check_choice(
    model: str | None, command: str | None, name: str | None, timeout: float | None,
    sampling: dict[str, Any],
) -> None:  # fmt: skip
    """Raise UsageError or ValueError for options that do not go together, and no such model."""
    from motifocal.generate.model_index import check_name

    if (model is None) == (command is None):
        raise click.UsageError("give either --model or --command")
    if model is not None:
        if timeout is not None:
            raise click.UsageError("--timeout goes with --command")
        check_name(model)
        return
    if name is None:
        raise click.UsageError("--command needs a --name")
    refuse_sampling(sampling)


def _loader(
    model: str | None, command: str | None, name: str | None, timeout: float | None,
    output: Path, seeds: int, sampling: Sampling | None,
) -> Callable[[], Model]:  # fmt: skip
    """Return what loads the model that the options name, here or in a worker."""
    if model is not None and sampling is not None:
        from motifocal.generate.open import open_model

        return partial(open_model, model, sampling)
    from motifocal.generate.command_model import CommandModel

    assert command is not None
    assert name is not None
    CommandModel(command, name).check_seeds(range(seeds))  # a worker sees few of them
    return partial(CommandModel, command, name, timeout=timeout, logs=output / "logs")


def _on_cpu(sampling: Sampling | None) -> Sampling | None:
    return sampling and replace(sampling, device="cpu", offload="none")


def _gpus(ray: str | None, sampling: Sampling | None) -> float:
    """Return how many GPUs a worker takes: one where the model computes on one."""
    device = sampling.device if sampling else "cpu"
    if ray is not None and device.startswith("cuda:"):
        raise click.UsageError(f"--ray takes --device cuda, and chooses which, got {device}")
    return float(device == "cuda")


def _follow(outcomes: Iterable[Outcome], total: int) -> int:
    """Show progress, print what failed, and return how many did."""
    made = there = failed = 0
    with progress("animating", total) as bar:
        for outcome in outcomes:
            made, there = made + outcome.new, there + (not outcome.new and not outcome.failure)
            if outcome.failure:
                failed += 1
                bar.say(f"failed: {outcome.video.path.name}: {outcome.failure}")
            bar.advance()
    words = [f"{made} made", f"{there} there before", f"{failed} failed"]
    click.echo(", ".join(words), err=True)
    return failed
