"""`--config run.toml`: options and settings of a training from a file, and the file of a run.

Keys are the long options, with underscores, and the settings of a preset; those of the network
stand in the table [unet]. Relative paths are relative to the folder of the file. What stands on the
command line counts more than the file, and `--set` more than either.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import click

from motifocal.cli.options.declare import FILE, F
from motifocal.cli.options.finetune import TRAIN as FINETUNING
from motifocal.cli.options.finetune import is_hub_id
from motifocal.cli.options.renamed import warn_of_old_name
from motifocal.files.toml_text import format_toml, parse_toml

RUN_FILE = "run.toml"
#: Options that say how this call is made, not what is computed, and those that only choose a
#: setting, which a file has under the setting's name.
OF_THE_CALL = frozenset({"config", "assignments", "dry_run", "quiet", "cost", "tflops",
                         "utilisation", "devices", "lora", "memory", "motif_weight"})  # fmt: skip


def config_option(command: F) -> F:
    """Add `--config`; the command gets the settings of the file, {} without one, as `config`."""
    return click.option(
        "--config", type=FILE, is_eager=True,
        callback=_read, help="TOML file of options and settings, such as the run.toml of a run; "
        "relative paths in it are relative to its folder. Options on the command line override "
        "it, and --set overrides both.",
    )(command)  # fmt: skip


def write_run_file(
    ctx: click.Context, path: Path, settings: Mapping[str, Any],
    names: Collection[str] | None = None, changed: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write the file that `--config` takes to repeat this call, with every setting.

    `names` are the options that it holds, by default those for Motifocal's own models; `changed`
    are values that count more than those of the call.
    """
    from motifocal.files.atomic import write_text

    kept = [name for name in _options_of(ctx) if
            (name not in FINETUNING if names is None else name in names)]  # fmt: skip
    values = {**ctx.params, **(changed or {})}
    options = {name: _plain(values[name], path.parent) for name in kept}
    stored = dict(settings)
    network = {key: value for key, value in stored.pop("unet", {}).items() if value is not None}
    text = format_toml({**options, **stored, **({"unet": network} if network else {})})
    write_text(path, "# motifocal train --config run.toml\n" + text)


def _read(ctx: click.Context, param: click.Parameter, path: Path | None) -> dict[str, Any]:
    """Make the options of the file the defaults of the command, and return its settings."""
    if path is None:
        return {}
    from motifocal.training.finetune.settings import FinetuneSettings
    from motifocal.training.presets import TrainingSettings, current_names

    try:
        values = parse_toml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} should be TOML, got: {error}") from error
    values = current_names(values, warn_of_old_name)
    # Which of them are settings of the model that is trained is told where all options are known.
    options = _options_of(ctx)
    settings = {*TrainingSettings.model_fields, *FinetuneSettings.model_fields}
    for key in values:
        if key not in options and key not in settings:
            close = difflib.get_close_matches(key, [*options, *settings], 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{path}: there is no option or setting {key!r}{hint}")
    given = {key: _from_file(options[key], values[key], path) for key in values if key in options}
    ctx.default_map = {**given, **(ctx.default_map or {})}
    return {key: value for key, value in values.items() if key not in options}


def _options_of(ctx: click.Context) -> dict[str, click.Parameter]:
    """The parameters of the command that a file may hold, by name."""
    return {param.name: param for param in ctx.command.params
            if param.name and param.expose_value and param.name not in OF_THE_CALL}


def _from_file(param: click.Parameter, value: Any, path: Path) -> Any:
    """An option's value as a command line would have it."""
    if isinstance(param.type, click.Path):
        if not isinstance(value, str):
            raise ValueError(f"{path}: {param.name} should be a path, got {value!r}")
        if param.name == "model" and is_hub_id(value, path.parent):
            return value
        return str(path.parent / value)
    return value


def _plain(value: Any, folder: Path) -> Any:
    """An option's value as the file has it; a path relative to the folder of the file."""
    if isinstance(value, Path):
        return Path(os.path.relpath(value.resolve(), folder.resolve())).as_posix()
    return list(value) if isinstance(value, tuple) else value
