"""What commands declare their arguments and options with: paths, sizes, several options at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
NEW_FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
NEW_FILE = click.Path(path_type=Path, dir_okay=False)
ANY_PATH = click.Path(path_type=Path, exists=True)
RATE = click.FloatRange(min=0, min_open=True)  # frames a second


class Size(click.ParamType):
    """`64` or `320x512` (height x width) as (height, width)."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", str(value))
        if match is None:
            self.fail(f"should be like 64 or 320x512 (height x width), got {value!r}", param, ctx)
        return int(match[1]), int(match[2] or match[1])


def together(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Add several options, which the help lists in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def output_option(help: str, **changes: Any) -> Callable[[F], F]:
    """Add -o/--output, the folder that a command writes; required unless `changes` say else."""
    return click.option("-o", "--output", help=help,
                        **{"type": NEW_FOLDER, "required": True, **changes})
