"""Validate during fine-tuning: held-out losses and sampled videos, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motifocal.cli.finetune.ab_page import CLIP_LOSSES
from motifocal.files.atomic import write_text

if TYPE_CHECKING:
    from motifocal.training.finetune.cache import ClipCache
    from motifocal.training.finetune.run import FinetuneRun


def takes_part(run: FinetuneRun) -> bool:
    """Tell whether this process validates: the first one, and where weights are sharded, all."""
    return run.accelerator.is_main_process or run.is_sharded


def is_due(run: FinetuneRun) -> bool:
    """Tell whether the run is validated at the step where it stands."""
    return run.step % run.settings.validate_every == 0 or run.step == run.settings.steps


def catch_up(
    run: FinetuneRun, model: Path, options: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Validate at the step that the run goes on from, where a kill came before that was done."""
    from motifocal.training.finetune.samples import can_sample
    from motifocal.training.processes import first_of

    if options["samples"] and not can_sample(run):
        say(f"no videos are sampled: for {run.family.name} that would take more than its "
            "autoencoder beside what is trained")
    missing = run.accelerator.is_main_process and _is_missing(run, options)
    if run.is_sharded:
        missing = bool(first_of(run.accelerator, missing))
    if missing:
        validate(run, model, options, say)


def _is_missing(run: FinetuneRun, options: dict[str, Any]) -> bool:
    """Tell whether files of the step's validation are not there."""
    from motifocal.training.finetune.samples import can_sample, samples_folder
    from motifocal.training.log import HELD_OUT, read_log

    if not run.step or not is_due(run):
        return False
    held_out: ClipCache | None = options["held_out"]
    count = min(options["samples"], len(held_out or run.cache))
    measured = {line["step"] for line in read_log(run.folder / HELD_OUT)}
    if held_out is not None and run.step not in measured:
        return True
    last = samples_folder(run) / f"{count - 1}.mp4"
    return bool(count and can_sample(run) and not last.is_file())


def validate(
    run: FinetuneRun, model: Path, options: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Measure held-out clips and sample videos; the first process writes them."""
    from motifocal.training.finetune.samples import can_sample, sample_videos
    from motifocal.training.finetune.validate import held_out_losses

    held_out: ClipCache | None = options["held_out"]
    if held_out is not None:
        measured = held_out_losses(run, held_out)
        if run.accelerator.is_main_process:
            _keep(run, measured.line(), measured.of_clips(), say)
    if options["samples"] and can_sample(run):
        say(f"step {run.step}: sampling {options['samples']} videos")
        sample_videos(run, model, held_out or run.cache, options["samples"])


def _keep(
    run: FinetuneRun, losses: dict[str, float | None], of_clips: dict[str, list[float | None]],
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Write held-out losses and say them."""
    from motifocal.training.log import HELD_OUT, TrainingLog

    # The line comes last: where it is, the file of the clips' losses is that of its step.
    write_text(run.folder / CLIP_LOSSES, json.dumps(of_clips, allow_nan=False) + "\n")
    with TrainingLog(run.folder / HELD_OUT, run.step - 1) as log:
        log.write({"step": run.step, **losses})
    printed = {name: losses[name] for name in ("held_out", "moving", "static")}
    run.accelerator.log({name: loss for name, loss in printed.items() if loss is not None},
                        step=run.step)  # fmt: skip
    words = ["none" if loss is None else f"{loss:.4f}" for loss in printed.values()]
    say(f"step {run.step}: held-out loss {words[0]}, moving {words[1]}, static {words[2]}")
