"""`motifocal train --model` of diffusers: a LoRA, or every weight, trained on a cache of clips."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.finetune.ab_page import CLIP_LOSSES, write_ab_page
from motifocal.cli.finetune.model import check_cache, opened
from motifocal.cli.options.device import chosen_device
from motifocal.cli.options.trackers import chosen_trackers
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import announce, progress
from motifocal.files.atomic import write_text
from motifocal.files.json_text import parse_json

if TYPE_CHECKING:
    from accelerate import Accelerator

    from motifocal.training.families.base import Family
    from motifocal.training.finetune.cache import ClipCache
    from motifocal.training.finetune.run import FinetuneRun
    from motifocal.training.finetune.settings import FinetuneSettings


HELD_OUT = "held_out.jsonl"
CURVES = ("loss", "diffusion", "motion", "norm", "rate")


def train_on_cache(options: dict[str, Any]) -> None:
    """Train the transformers of a model one after the other, and print where the result lies."""
    settings = settings_of(options)
    announce("loading")
    from motifocal.training.finetune.cache import ClipCache
    from motifocal.training.finetune.run import check_rates, parts_of
    from motifocal.training.processes import first_process_decides, open_accelerator

    cache = ClipCache(options["shards"])
    options["held_out"] = ClipCache(options["held_out"]) if options["held_out"] else None
    folder, family = opened(options["model"])
    settings.accumulation(processes=1)
    parts_of(settings, family)
    check_rates(settings, family, cache)
    if options["memory"] is not None:
        settings = fitted(settings, folder, family, cache, options["memory"])
    if options["device"] not in ("auto", "cpu"):
        chosen_device(options["device"])
    some_unused = (family.some_unused or settings.lora_rank is None
                   or bool(settings.lora_targets))  # fmt: skip
    accelerator = open_accelerator(autocast(settings), options["device"] == "cpu",
                                   some_unused=some_unused)  # fmt: skip
    output, arms = options["output"], _arms(settings, options)
    with first_process_decides(accelerator) as first:
        if first:  # it holds the folder for all
            for data in filter(None, (cache, options["held_out"])):
                check_cache(data, family, folder)
            lock_output(output)
            click.echo(settings.model_dump_json(indent=1))
            for weight, place in arms.items():
                if options["dry_run"]:
                    arm = settings.model_copy(update={"motif_weight": weight})
                    _keep_settings(arm, cache, family, place)
    if options["dry_run"]:
        return
    for weight, place in arms.items():
        arm = settings.model_copy(update={"motif_weight": weight})
        _train_arm(arm, place, cache, folder, family, accelerator, options)
    if accelerator.is_main_process and len(arms) > 1:
        click.echo(write_ab_page(output, arms, options["held_out"] or cache))
    accelerator.end_training()


def _arms(settings: FinetuneSettings, options: dict[str, Any]) -> dict[float, Path]:
    """Return the lambdas to train with, and the folder of each run."""
    weights, output = options["motif_weight"] or (settings.motif_weight,), options["output"]
    if len(weights) == 1:
        return {weights[0]: output}
    return {weight: output / f"motif-weight-{weight:g}" for weight in weights}


def _train_arm(
    settings: FinetuneSettings, output: Path, cache: ClipCache, folder: Path, family: Family,
    accelerator: Accelerator, options: dict[str, Any],
) -> None:  # fmt: skip
    """Train the transformers of one run, and print where the result lies; ends on a signal."""
    from motifocal.training.finetune.run import parts_of

    for part in parts_of(settings, family):
        code = _train_part(settings, output, cache, folder, family, part, accelerator, options)
        if code is not None:
            if accelerator.is_main_process:
                click.echo("saved; run the same command again to go on", err=True)
            accelerator.end_training()
            sys.exit(code)
    if accelerator.is_main_process:
        click.echo(output / ("lora" if settings.lora_rank else "full"))


def _keep_settings(
    settings: FinetuneSettings, cache: ClipCache, family: Family, output: Path
) -> None:
    """Write the settings where the runs would be, and print where they lie."""
    from motifocal.training.checkpoint import latest_step
    from motifocal.training.finetune.run import (
        SETTINGS,
        lock_finetune,
        part_run_folder,
        parts_of,
    )

    for part in parts_of(settings, family):
        place = part_run_folder(output, family, part)
        lock_finetune(place, settings, cache, family, latest_step(place / "checkpoints"))
        click.echo(place / SETTINGS)


def settings_of(options: dict[str, Any]) -> FinetuneSettings:
    """Return the settings that --lora, --full and --set say."""
    from motifocal.training.finetune.settings import finetune_settings

    if options["lora"] is not None and options["full"]:
        raise click.UsageError("give either --lora or --full")
    values: dict[str, Any] = {"model": str(options["model"])}
    if options["lora"] is not None or options["full"]:
        values["lora_rank"] = options["lora"]
    for assignment in options["assignments"]:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise click.BadParameter(f"should be KEY=VALUE, got {assignment!r}", param_hint="--set")
        try:
            values[key] = parse_json(text)
        except ValueError:
            values[key] = text  # a word
    return finetune_settings(values)


def autocast(settings: FinetuneSettings) -> str:
    """Return accelerate's mixed precision: frozen weights have their own, trained ones do not."""
    return "bf16" if settings.lora_rank is None and settings.precision == "bfloat16" else "no"


def fitted(
    settings: FinetuneSettings, folder: Path, family: Family, cache: ClipCache, gigabytes: float
) -> FinetuneSettings:
    """Return the settings of the first way to store the model that fits, and say which it is."""
    from motifocal.training.finetune.memory import first_that_fits

    rung, words = first_that_fits(settings, folder, family, cache, gigabytes)
    announce(words)
    return rung


def _train_part(
    settings: FinetuneSettings, output: Path, cache: ClipCache, folder: Path, family: Family,
    part: str, accelerator: Accelerator, options: dict[str, Any],
) -> int | None:  # fmt: skip
    """Train one transformer to the end or to a signal; the exit code if it was a signal."""
    from motifocal.files.atomic import remove_temporaries
    from motifocal.training.checkpoint import latest_step
    from motifocal.training.finetune.parts import load_trained, release
    from motifocal.training.finetune.result import is_written, write_result
    from motifocal.training.finetune.run import (
        lock_finetune,
        part_run_folder,
        save,
        start,
        train,
    )
    from motifocal.training.log import TrainingLog
    from motifocal.training.processes import any_process, first_process_decides, in_words
    from motifocal.training.signals import stop_on_signals
    from motifocal.training.trackers import tracking

    place, main = part_run_folder(output, family, part), accelerator.is_main_process
    with first_process_decides(accelerator) as first:
        if first:
            remove_temporaries(place / "checkpoints")
            lock_finetune(place, settings, cache, family, latest_step(place / "checkpoints"))
    done = latest_step(place / "checkpoints") == settings.steps
    if len(family.trained) > 1 and done and is_written(output, settings, family, part):
        announce(f"{part} is trained already")
        return None
    whole = settings.lora_rank is None
    announce(f"loading {part}, then training on {in_words(accelerator)}")
    transformer = load_trained(folder, family, part, "float32" if whole else settings.precision,
                               nf4=settings.storage == "nf4")  # fmt: skip
    notify = partial(click.echo, err=True) if main else _leave_to_the_first_process
    run = start(place, cache, family, part, transformer, settings, accelerator, notify)
    del transformer
    count = sum(weight.numel() for weight in run.weights.values())
    announce(f"{part}: {count / 1e6:.2f} million weights are trained")
    if run.step:
        announce(f"resuming at step {run.step}")
    with ExitStack() as stack:
        bar = stack.enter_context(progress(f"{part}: steps", settings.steps, run.step))
        stop = stack.enter_context(stop_on_signals(bar.announce))
        log = stack.enter_context(TrainingLog(place / "log.jsonl", run.step)) if main else None
        if main:
            curves = chosen_trackers(options["log_with"])
            stack.enter_context(tracking(accelerator, curves, place, run.step, settings))
            _catch_up(run, folder, options, bar.announce)
        for line in train(run, log):
            bar.reach(run.step, f"loss {line['loss']:.4f}, rate {line['rate']:.1e}, "
                      f"{line['seconds']:.2f} s")  # fmt: skip
            if main:
                accelerator.log({key: line[key] for key in CURVES}, step=run.step)
                if _is_due(run):
                    _validate(run, folder, options, bar.announce)
            if run.step < settings.steps and any_process(accelerator, stop.signal is not None):
                # Not told from the folder: one process may have written already when another looks.
                if run.step % settings.save_every:
                    save(run)
                break
    if main:
        write_result(run, output)
    accelerator.wait_for_everyone()
    done = run.step == settings.steps
    accelerator.free_memory()
    del run
    release(accelerator.device)
    return None if done else stop.exit_code


def _is_due(run: FinetuneRun) -> bool:
    """Tell whether the run is validated at the step where it stands."""
    return run.step % run.settings.validate_every == 0 or run.step == run.settings.steps


def _catch_up(
    run: FinetuneRun, model: Path, options: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Validate at the step that the run goes on from, where a kill came before that was done."""
    from motifocal.training.finetune.samples import can_sample, samples_folder
    from motifocal.training.log import read_log

    held_out: ClipCache | None = options["held_out"]
    count = min(options["samples"], len(held_out or run.cache))
    if count and not can_sample(run):
        say(f"no videos are sampled: for {run.family.name} that would take more than its "
            "autoencoder beside what is trained")
    if not run.step or not _is_due(run):
        return
    measured = {line["step"] for line in read_log(run.folder / HELD_OUT)}
    unmeasured = held_out is not None and run.step not in measured
    unsampled = count and can_sample(run) and not (
        samples_folder(run) / f"{count - 1}.mp4").is_file()  # fmt: skip
    if unmeasured or unsampled:
        _validate(run, model, options, say)


def _validate(
    run: FinetuneRun, model: Path, options: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Measure held-out clips and sample videos."""
    from motifocal.training.finetune.samples import can_sample, sample_videos
    from motifocal.training.finetune.validate import held_out_losses
    from motifocal.training.log import TrainingLog

    held_out: ClipCache | None = options["held_out"]
    if held_out is not None:
        measured = held_out_losses(run, held_out)
        losses = measured.line()
        # The line comes last: where it is, the file of the clips' losses is that of its step.
        write_text(run.folder / CLIP_LOSSES, json.dumps(measured.of_clips()) + "\n")
        with TrainingLog(run.folder / HELD_OUT, run.step - 1) as log:
            log.write({"step": run.step, **losses})
        run.accelerator.log({key: losses[key] for key in ("held_out", "moving", "static")},
                            step=run.step)
        say(f"step {run.step}: held-out loss {losses['held_out']:.4f}, moving "
            f"{losses['moving']:.4f}, static {losses['static']:.4f}")
    if options["samples"] and can_sample(run):
        say(f"step {run.step}: sampling {options['samples']} videos")
        sample_videos(run, model, held_out or run.cache, options["samples"])


def _leave_to_the_first_process(text: str) -> None:
    """What all processes of a training find out, one of them says."""
