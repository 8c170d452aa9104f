"""The settings of fine-tuning from the command line and a file, and the file of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from motifocal.cli.options.declare import parse_assignment
from motifocal.cli.options.finetune import IN_RUN_FILE
from motifocal.cli.options.run_file import RUN_FILE, write_run_file
from motifocal.cli.output.progress import announce

if TYPE_CHECKING:
    from motifocal.training.families.base import Family
    from motifocal.training.finetune.cache import ClipCache
    from motifocal.training.finetune.settings import FinetuneSettings


def settings_of(options: dict[str, Any]) -> FinetuneSettings:
    """Return the settings that --config, --lora, --full and --set say; the later count more."""
    from motifocal.training.finetune.settings import finetune_settings

    typed = {name for name in ("lora", "full") if _is_typed(name)}
    if len(typed) > 1:
        raise click.UsageError("give either --lora or --full")
    values: dict[str, Any] = {**options["config"], "model": str(options["model"])}
    if options["lora"] is not None:
        values["lora_rank"] = options["lora"]
    elif options["full"]:
        values["lora_rank"] = None
    for assignment in options["assignments"]:
        key, value = parse_assignment(assignment, "--set")
        values[key] = value
    if values.get("lora_rank", 0) is None and "learning_rate" not in values:
        values |= _rate_of_earlier_versions(options["output"])
    return finetune_settings(values)


def _rate_of_earlier_versions(output: Path) -> dict[str, float]:
    """Return the rate of a run of every weight in `output` that was begun with a LoRA's default."""
    from motifocal.training.finetune.settings import LORA_RATE, SETTINGS, read_finetune_settings

    for path in output.rglob(SETTINGS):
        if (path.parent / "checkpoints").is_dir():
            earlier = read_finetune_settings(path)
            if earlier.lora_rank is None and earlier.learning_rate == LORA_RATE:
                return {"learning_rate": LORA_RATE}
    return {}


def write_own_run_file(folder: Path, settings: FinetuneSettings) -> None:
    """Write the file that repeats the run in `folder`, whatever its lambda was chosen by."""
    context = click.get_current_context()
    stored = settings.model_dump(mode="json", exclude={"model"})
    folder.mkdir(parents=True, exist_ok=True)
    options = {"output": folder, "full": settings.lora_rank is None}
    write_run_file(context, folder / RUN_FILE, stored, IN_RUN_FILE, options)


def autocast(settings: FinetuneSettings) -> str:
    """Return accelerate's mixed precision: frozen weights have their own, trained ones do not."""
    return "bf16" if settings.lora_rank is None and settings.precision == "bfloat16" else "no"


def fitted(
    settings: FinetuneSettings, folder: Path, family: Family, cache: ClipCache, gigabytes: float,
    shards: int,
) -> FinetuneSettings:  # fmt: skip
    """Return the settings of the first way to store the model that fits, and say which it is."""
    from motifocal.training.finetune.memory import first_that_fits

    rung, words = first_that_fits(settings, folder, family, cache, gigabytes, shards)
    announce(words)
    return rung


def _is_typed(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.COMMANDLINE
