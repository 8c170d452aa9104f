"""`motifocal train --model` with a diffusers model: train a LoRA or all weights on a cache."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.finetune.ab_page import write_ab_page
from motifocal.cli.finetune.model import check_caches, note_distilled, opened
from motifocal.cli.finetune.settings import autocast, fitted, settings_of, write_own_run_file
from motifocal.cli.finetune.validation import catch_up, is_due, takes_part, validate
from motifocal.cli.options.device import chosen_device
from motifocal.cli.options.trackers import chosen_trackers
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import announce, leave_to_the_first_process, progress

if TYPE_CHECKING:
    from accelerate import Accelerator

    from motifocal.training.families.base import Family
    from motifocal.training.finetune.cache import ClipCache
    from motifocal.training.finetune.run import FinetuneRun
    from motifocal.training.finetune.settings import FinetuneSettings


def train_on_cache(options: dict[str, Any]) -> None:
    """Train the transformers of a model one after the other, and print where the result lies."""
    settings = settings_of(options)
    announce("loading")
    from motifocal.training.finetune.cache import ClipCache
    from motifocal.training.finetune.run import check_rates, check_sharding, parts_of
    from motifocal.training.processes import ending_together, open_accelerator

    cache = ClipCache(options["shards"])
    options["held_out"] = ClipCache(options["held_out"]) if options["held_out"] else None
    folder, family = opened(options["model"], trained=True)
    settings.accumulation(processes=1)
    parts_of(settings, family)
    if settings.flow_shift is not None:
        family = family.with_flow_shift(settings.flow_shift)
    check_rates(settings, family, cache)
    if options["device"] not in ("auto", "cpu"):
        chosen_device(options["device"])
    some_unused = (family.some_unused or settings.lora_rank is None
                   or bool(settings.lora_targets))  # fmt: skip
    accelerator = open_accelerator(autocast(settings), options["device"] == "cpu",
                                   some_unused=some_unused)  # fmt: skip
    if options["fsdp"]:
        check_sharding(settings, accelerator)
    if options["memory"] is not None:
        shards = accelerator.num_processes if options["fsdp"] else 1
        settings = fitted(settings, folder, family, cache, options["memory"], shards)
    with ending_together(accelerator):
        _begin(settings, cache, folder, family, accelerator, options)
        if not options["dry_run"]:
            _train(settings, cache, folder, family, accelerator, options)
    accelerator.end_training()


def _begin(
    settings: FinetuneSettings, cache: ClipCache, folder: Path, family: Family,
    accelerator: Accelerator, options: dict[str, Any],
) -> None:  # fmt: skip
    """Take the folder of all runs, check the caches, and write each run's settings."""
    from motifocal.training.processes import first_process_decides

    with first_process_decides(accelerator) as first:
        if not first:  # the first holds the folder for all
            return
        check_caches([data for data in (cache, options["held_out"]) if data], family, folder)
        lock_output(options["output"])
        note_distilled(options["model"], folder, family)
        click.echo(settings.model_dump_json(indent=1))
        for weight, output in _arms(settings, options).items():
            arm = settings.model_copy(update={"motif_weight": weight})
            _keep_settings(arm, cache, folder, family, output, print_paths=options["dry_run"])
            write_own_run_file(output, arm)


def _train(
    settings: FinetuneSettings, cache: ClipCache, folder: Path, family: Family,
    accelerator: Accelerator, options: dict[str, Any],
) -> None:  # fmt: skip
    """Train with every lambda, print where results lie, and compare them; ends on a signal."""
    from motifocal.training.finetune.run import parts_of

    arms, parts = _arms(settings, options), parts_of(settings, family)
    for weight, output in arms.items():
        arm = settings.model_copy(update={"motif_weight": weight})
        for part in parts:
            done, code = _train_part(arm, output, cache, folder, family, part, accelerator, options)
            is_last = (output, part) == (list(arms.values())[-1], parts[-1])
            if not done or (code and not is_last):
                if accelerator.is_main_process:
                    click.echo("saved; run the same command again to resume", err=True)
                accelerator.end_training()
                sys.exit(code)
        if accelerator.is_main_process:
            click.echo(output / ("lora" if arm.lora_rank else "full"))
    if accelerator.is_main_process and len(arms) > 1:
        page = write_ab_page(options["output"], arms, options["held_out"] or cache)
        click.echo(page)


def _arms(settings: FinetuneSettings, options: dict[str, Any]) -> dict[float, Path]:
    """Return the lambdas to train with, and the folder of each run."""
    weights, output = options["motif_weight"] or (settings.motif_weight,), options["output"]
    if len(weights) == 1:
        return {weights[0]: output}
    return {weight: output / f"motif-weight-{weight:g}" for weight in weights}


def _keep_settings(
    settings: FinetuneSettings, cache: ClipCache, model: Path, family: Family, output: Path,
    print_paths: bool,
) -> None:  # fmt: skip
    """Keep the settings and inputs where the runs are; ValueError where a run has others."""
    from motifocal.files.atomic import remove_temporaries
    from motifocal.training.checkpoint import latest_step
    from motifocal.training.finetune.parts import base_digest
    from motifocal.training.finetune.run import lock_finetune, part_run_folder, parts_of
    from motifocal.training.finetune.settings import SETTINGS

    for part in parts_of(settings, family):
        place = part_run_folder(output, family, part)
        done = latest_step(place / "checkpoints")
        remove_temporaries(place / "checkpoints")
        lock_finetune(place, settings, cache, family, done, base_digest(model, family, part))
        if print_paths:
            click.echo(place / SETTINGS)


def _is_done(
    output: Path, place: Path, settings: FinetuneSettings, family: Family, part: str
) -> bool:
    """Tell whether all steps of a transformer are taken, and its result is written."""
    from motifocal.training.checkpoint import latest_step
    from motifocal.training.finetune.result import is_written

    return (latest_step(place / "checkpoints") == settings.steps
            and is_written(output, settings, family, part))


def _start(
    settings: FinetuneSettings, place: Path, cache: ClipCache, folder: Path, family: Family,
    part: str, accelerator: Accelerator, *, fsdp: bool,
) -> FinetuneRun:  # fmt: skip
    """Load one transformer and begin its run, or go on with it."""
    from motifocal.training.finetune.parts import base_digest, load_trained
    from motifocal.training.finetune.run import start
    from motifocal.training.processes import in_words

    announce(f"loading {family.weights_folder(part)}, then training on {in_words(accelerator)}"
             f"{', sharded' if fsdp else ''}")
    main = accelerator.is_main_process
    width = "float32" if settings.lora_rank is None else settings.precision
    transformer = load_trained(folder, family, part, width, nf4=settings.storage == "nf4")
    notify = partial(click.echo, err=True) if main else leave_to_the_first_process
    run = start(place, cache, family, part, transformer, settings, accelerator, notify, fsdp,
                base_digest(folder, family, part) if main else "")
    count = sum(weight.numel() for weight in run.weights.values())
    announce(f"{part}: {count / 1e6:.2f} million weights are trained")
    if run.step:
        announce(f"resuming at step {run.step}")
    return run


def _train_part(
    settings: FinetuneSettings, output: Path, cache: ClipCache, folder: Path, family: Family,
    part: str, accelerator: Accelerator, options: dict[str, Any],
) -> tuple[bool, int]:  # fmt: skip
    """Train one transformer to the end or to a signal: whether it is done, and the exit code."""
    from motifocal.training.finetune.parts import release
    from motifocal.training.finetune.result import write_result
    from motifocal.training.finetune.run import part_run_folder, save, train
    from motifocal.training.log import CURVES, TrainingLog
    from motifocal.training.processes import ending_together, first_of, greatest
    from motifocal.training.signals import stop_on_signals
    from motifocal.training.trackers import tracking

    place, main = part_run_folder(output, family, part), accelerator.is_main_process
    # Only the first looks: on a shared disk the others may see its files later.
    if len(family.trained) > 1 and first_of(
            accelerator, main and _is_done(output, place, settings, family, part)):
        announce(f"{part} is trained already")
        return True, 0
    run = _start(settings, place, cache, folder, family, part, accelerator, fsdp=options["fsdp"])
    with ExitStack() as stack:
        bar = stack.enter_context(progress(f"{part}: steps", settings.steps, run.step))
        stop = stack.enter_context(stop_on_signals(bar.announce))
        stack.enter_context(ending_together(accelerator))
        log = stack.enter_context(TrainingLog(place / "log.jsonl", run.step)) if main else None
        if main:
            curves = chosen_trackers(options["log_with"])
            stack.enter_context(tracking(accelerator, curves, place, run.step, settings))
        say = bar.announce if main else leave_to_the_first_process
        if takes_part(run):
            catch_up(run, folder, options, say)
        for line in train(run, log):
            bar.reach(run.step, f"loss {line['loss']:.4f}, rate {line['rate']:.1e}, "
                      f"{line['seconds']:.2f} s")  # fmt: skip
            if main:
                accelerator.log({key: line[key] for key in CURVES}, step=run.step)
            if is_due(run) and takes_part(run):
                validate(run, folder, options, say)
            if run.step < settings.steps and greatest(accelerator, stop.exit_code):
                # Not told from the folder: one process may have written already when another looks.
                if run.step % settings.save_every:
                    save(run)
                break
    write_result(run, output)
    code = greatest(accelerator, stop.exit_code)
    done = run.step == settings.steps
    accelerator.free_memory()
    del run
    release(accelerator.device)
    return done, code
