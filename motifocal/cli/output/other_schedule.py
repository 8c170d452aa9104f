"""The line on stderr that says where a training goes on with another noise schedule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motifocal.training.folders import scheduler_of

if TYPE_CHECKING:
    from motifocal.training.presets import TrainingSettings


def note_schedule(model: Path, settings: TrainingSettings) -> None:
    """Say in what the scheduler of a model folder differs from the settings of its training."""
    known = scheduler_of(model)
    before = {name: known[key] for name, key in (("prediction_type", "prediction_type"),
                                                 ("zero_terminal_snr", "rescale_betas_zero_snr"))
              if key in known}  # fmt: skip
    if "x0_scale_end" in known:
        before["use_scale"] = known["x0_scale_end"] != 1
    now = {name: getattr(settings, name) for name in before}
    if before != now:
        learnt, told = (_words({name: values[name] for name in before if before[name] != now[name]})
                        for values in (before, now))
        click.echo(f"note: {model} was made for {learnt}; it is trained further with {told}",
                   err=True)


def _words(settings: Mapping[str, object]) -> str:
    """Word settings as `--set` takes them."""
    return ", ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}"
                     for name, value in settings.items())
