"""`motifocal train`: train a denoiser on shards, with progress, a log, samples and clean stops."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.clips import PRIORS, prior_option
from motifocal.cli.options.cost import SparedArgument, SparedOption, cost_options, print_cost
from motifocal.cli.options.declare import FOLDER, NEW_FOLDER, parse_assignment
from motifocal.cli.options.device import chosen_device
from motifocal.cli.options.finetune import (
    TRAIN,
    TRAIN_SHARED,
    ModelName,
    lora_options,
    with_finetuning,
)
from motifocal.cli.options.renamed import old_option, warn_of_old_name
from motifocal.cli.options.run_file import RUN_FILE, config_option, write_run_file
from motifocal.cli.options.trackers import chosen_trackers, log_with_option
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import (
    announce,
    leave_to_the_first_process,
    progress,
    quiet_option,
)

if TYPE_CHECKING:
    from accelerate import Accelerator
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    from motifocal.data.shards import Shards
    from motifocal.training.loop import Run
    from motifocal.training.presets import TrainingSettings


def require_preset(preset: str | None) -> None:
    """Refuse a training without a preset: one of them has 1.4 billion parameters."""
    if preset is None:
        raise click.UsageError(
            "give --preset scenes (a network of 7.3 million parameters unless the model folder "
            "has one) or --preset paper (1.4 billion, for eight large GPUs)"
        )


@click.command(epilog="""\b
Examples:
  motifocal train cache/ -o run/ --model Wan-AI/Wan2.2-TI2V-5B-Diffusers --lora 32 --memory 24G
  motifocal train shards/ -o run/ --model base/ --preset scenes --held-out held-out/
  motifocal train shards/ -o run/ --model videocrafter2/ --preset paper --set micro_batch=4
  motifocal train shards/ -o plain/ --model base/ --preset scenes --set motif_weight=0
  motifocal train --config run/run.toml -o again/ --set seed=1
  motifocal train --preset paper --dry-run --cost --tflops 989
  torchrun --nproc_per_node 8 -m motifocal train shards/ -o run/ --model base/ --preset paper
""")
@click.argument("shards", type=FOLDER, cls=SparedArgument)
@click.option("-o", "--output", type=NEW_FOLDER, required=True,
              cls=SparedOption, help="Folder of the run; run again to resume.")
@click.option("--model", type=ModelName(), required=True, metavar="MODEL", cls=SparedOption,
              help="Model folder with vae/, text_encoder/, tokenizer/ and optionally unet/; or a "
              "diffusers image-to-video pipeline to fine-tune, by folder or hub id.")
@lora_options
@click.option("--preset", type=click.Choice(["paper", "scenes"]),
              help="Settings to start from: paper, the paper's for eight large GPUs, with its "
              "network of 1.4 billion parameters unless the model folder has one; scenes, those "
              "of the bundled model, 7.3 million parameters.  [required, but not for diffusers "
              "models]")
@config_option
@click.option("--set", "assignments", metavar="KEY=VALUE", multiple=True,
              help="Change a setting, e.g. steps=500 or unet.temporal_dropout=0; repeatable.")
@click.option("--image-condition", type=click.Choice(["concat", "cross-attention", "both"]),
              help="How the network gets the image: its latent on input channels (the paper's), "
              "tokens in cross-attention, or both.  [default: as in the settings]")
@prior_option("Condition the network on motion, dropped in 10 % of samples: score, how much a "
              "clip moves; mask, where it moves.")
@click.option("--fresh", is_flag=True, help="Start from new weights even if the model folder has "
                                       "a unet/.")
@click.option("--held-out", type=FOLDER,
              help="Shards or a cache that is not trained on, for samples and the held-out loss.")
@click.option("--samples", type=click.IntRange(0), default=4, show_default=True,
              help="Clips to sample every sample_every steps (diffusers models: validate_every); "
              "0 for none.")
@click.option("--probe-every", type=click.IntRange(0), default=0, show_default=True,
              help="Steps between two points of the learning curve on synthetic scenes "
              "(probe.csv, see `scenes probe`); 0 for none. The pairs have the background that "
              "the SHARDS were drawn with; for mixed, a lively one.")
@click.option("--probe-pairs", type=click.IntRange(1), default=320, show_default=True,
              help="Pairs per point of the learning curve.")
@click.option("--keep-every", type=click.IntRange(0), default=0, show_default=True,
              help="Steps between averaged weights that are kept permanently, in kept/; 0 for "
              "none.")
@log_with_option
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto",
              show_default=True, help="Where to compute; auto uses an accelerator if there is "
              "one. With several GPUs, each process gets its own.")
@old_option("--cpu", "--device cpu", "device", "cpu")
@click.option("--dry-run", is_flag=True, help="Print and save the settings, then stop.")
@cost_options
@quiet_option
@with_finetuning("motifocal.cli.finetune.train:train_on_cache", TRAIN, TRAIN_SHARED)
@click.pass_context
def train(ctx: click.Context, shards: Path, output: Path, model: Path,
          assignments: tuple[str, ...], **options: Any) -> None:
    """Train a denoiser on SHARDS with the motion focal loss.

    SHARDS is the folder that `prepare` wrote. If --model is a diffusers pipeline, it is a cache: a
    LoRA is trained, or with --full every weight, and --preset does not apply.

    Run the same command again to resume, however the run ended; Ctrl-C saves a checkpoint first.
    The folder of the run has run.toml (options and settings, for --config), log.jsonl (one line per
    step), checkpoints/, samples/ and TensorBoard's curves, tensorboard/; and training.json (the
    settings), or with a diffusers pipeline finetune.json.
    """
    from motifocal.training.conditions import check_conditions
    from motifocal.training.folders import check_parts, text_width_of

    require_preset(options["preset"])
    settings = _settings(model, assignments, options)
    if options["cost"]:
        return print_cost(settings, shards, options)
    check_parts(model, "vae", "tokenizer", "text_encoder")
    check_conditions(settings.unet, model, (shards, *filter(None, [options["held_out"]])))
    announce("loading the clips")
    from motifocal.data.shards import Shards
    from motifocal.training.loop import check_fit
    from motifocal.training.processes import first_process_decides, open_accelerator

    prepared = Shards(shards)
    settings.accumulation(processes=1)
    check_fit(settings, prepared, text_width_of(model))
    if options["device"] not in ("auto", "cpu"):
        chosen_device(options["device"])
    accelerator = open_accelerator(settings.precision, options["device"] == "cpu")
    with first_process_decides(accelerator) as first:
        if first:  # it holds the folder for all
            _lock(output, prepared, model, settings, options)
    if accelerator.is_main_process and options["dry_run"]:
        write_run_file(ctx, output / RUN_FILE, settings.model_dump(mode="json"))
    if not options["dry_run"]:
        code = _train(ctx, settings, prepared, output, model, accelerator, options)
        accelerator.end_training()
        sys.exit(code)


def _lock(
    output: Path, prepared: Shards, model: Path, settings: TrainingSettings,
    options: dict[str, Any],
) -> None:  # fmt: skip
    """Take the folder of the run, show the settings, and keep what the run is begun with."""
    from itertools import chain

    from motifocal.cli.output.other_schedule import note_schedule
    from motifocal.cli.output.unread import note_unread
    from motifocal.files.atomic import remove_temporaries
    from motifocal.models.folder import load_text_limit
    from motifocal.training.checkpoint import latest_step
    from motifocal.training.folders import settings_path
    from motifocal.training.inputs import lock_inputs
    from motifocal.training.loop import lock_run

    lock_output(output)
    remove_temporaries(output / "checkpoints")
    click.echo(settings.model_dump_json(indent=1))
    note_unread(load_text_limit(model), chain.from_iterable(f.captions for f in prepared.files))
    if (model / "unet").is_dir() and not options["fresh"]:
        note_schedule(model, settings)
    if options["dry_run"]:
        lock_run(output, settings, latest_step(output / "checkpoints"))
        click.echo(settings_path(output))
    else:
        lock_inputs(output, prepared, model)


def _settings(
    model: Path | None, assignments: tuple[str, ...], options: dict[str, Any]
) -> TrainingSettings:
    """The preset for the network that is in the folder, or the preset's own, with the changes.

    Those of a file come first, then --image-condition and --prior, then those of `--set`.
    """
    from dataclasses import asdict

    from motifocal.training.conditions import check_start, image_settings
    from motifocal.training.folders import unet_config_of
    from motifocal.training.presets import PRESETS, current_names, resolve

    preset, from_file = options["preset"], options["config"]
    started_from = None if options["fresh"] or model is None else unet_config_of(model)
    network: dict[str, Any] = {} if started_from is None else asdict(started_from)
    network |= _table(from_file.get("unet", {}))
    overrides, assigned = dict(from_file), dict[str, Any]()
    for assignment in assignments:
        key, value = parse_assignment(assignment, "--set")
        if key == "unet":
            network, assigned = {}, _table(value)
        elif key.startswith("unet."):
            assigned[key.removeprefix("unet.")] = value
        else:
            overrides.update(current_names({key: value}, warn_of_old_name))
    if options["image_condition"] is not None:
        own = asdict(PRESETS[preset].unet) | network | assigned
        network |= image_settings(options["image_condition"], model, own)
    network |= {f"motion_{name}": True for name in PRIORS if name in options["prior"]}
    settings = resolve(preset, {**overrides, "unet": network | assigned})
    if started_from is not None:
        check_start(started_from, settings.unet)
    return settings


def _table(given: object) -> dict[str, Any]:
    """The settings of the network that are given. ValueError unless they are a table."""
    if not isinstance(given, dict):
        raise ValueError(f"unet should be a table of settings of the network, got {given!r}")
    return dict(given)


def _start(settings: TrainingSettings, shards: Shards, output: Path, model: Path,
           accelerator: Accelerator, *, fresh: bool) -> tuple[Run, AutoencoderKL]:
    """Load the parts and begin the run, or go on with it; return it and its autoencoder."""
    from functools import partial

    import torch

    from motifocal.models.folder import load_image_encoder
    from motifocal.training.loop import start
    from motifocal.training.processes import in_words
    from motifocal.training.run_folder import check_encoders, load_text, load_unet, load_vae

    announce("loading the autoencoder, the text encoder and the network")
    vae, tokens = load_vae(model), settings.unet.takes_encoded_tokens
    tower = load_image_encoder(model, torch.float32) if tokens else None
    check_encoders(shards, vae, tower)
    unet = None if fresh else load_unet(model)
    announce(f"training on {in_words(accelerator)}")
    notify = partial(click.echo, err=True)
    run = start(output, shards, load_text(model), settings, accelerator, unet,
                notify if accelerator.is_main_process else leave_to_the_first_process, tower)
    millions = sum(p.numel() for p in run.unet.parameters()) / 1e6
    announce(f"network: {millions:.1f} million parameters")
    if run.step:
        announce(f"resuming at step {run.step}")
    return run, vae


def _train(ctx: click.Context, settings: TrainingSettings, shards: Shards, output: Path,
           model: Path, accelerator: Accelerator, options: dict[str, Any]) -> int:
    """Train to the end or to a signal; returns the exit code."""
    from contextlib import ExitStack

    from motifocal.cli.output.training_samples import Reporter, TrainingBar, open_prober
    from motifocal.training.log import TrainingLog
    from motifocal.training.loop import save, train
    from motifocal.training.measurement.held_out import open_held_out
    from motifocal.training.processes import any_process, ending_together
    from motifocal.training.signals import stop_on_signals
    from motifocal.training.trackers import tracking

    run, vae = _start(settings, shards, output, model, accelerator, fresh=options["fresh"])
    main = accelerator.is_main_process
    if main:
        write_run_file(ctx, output / RUN_FILE, settings.model_dump(mode="json"))
    curves = chosen_trackers(options["log_with"]) if main else ()
    held_out = open_held_out(run, vae, options["held_out"])
    every, pairs = options["probe_every"], options["probe_pairs"]
    with ExitStack() as stack:
        bar = stack.enter_context(progress("training: steps", settings.steps, run.step))
        shown = TrainingBar(bar, settings.global_batch)
        stop = stack.enter_context(stop_on_signals(bar.announce))
        stack.enter_context(ending_together(accelerator))
        log = stack.enter_context(TrainingLog(output / "log.jsonl", run.step)) if main else None
        reporter = (Reporter(run, model, vae, held_out, options["samples"],
                             open_prober(run, vae, pairs, every) if every else None,
                             bar.announce, options["keep_every"])
                    if main else None)  # fmt: skip
        if reporter is not None:
            stack.enter_context(tracking(accelerator, curves, output, run.step, settings))
            reporter.catch_up()
        for line in train(run, log):
            shown.show(line)
            if reporter is not None:
                reporter.after(line)
            if run.step < settings.steps and any_process(accelerator, stop.signal is not None):
                save(run)
                break
    if run.step < settings.steps:
        if main:
            click.echo(f"saved at step {run.step}; run the same command again to resume", err=True)
        return stop.exit_code
    if main:
        click.echo(output)
    return 0
