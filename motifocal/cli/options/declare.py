"""Building blocks for arguments and options: paths, sizes, several options at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from motifocal.files.json_text import parse_json
from motifocal.files.remote import RemotePath, filesystem, is_remote, to_path

F = TypeVar("F", bound=Callable[..., Any])


class LocalPath(click.Path):
    """A path on this machine as a Path; the URL of something in a bucket is refused in a line.

    `hint` ends the message where the path is not there or of the wrong kind.
    """

    def __init__(self, hint: str = "", **checks: bool) -> None:
        super().__init__(path_type=Path, **checks)
        self.hint = hint

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        if is_remote(value):
            self.fail(f"should be a local path, got {value}", param, ctx)
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message}{self.hint}", param, ctx)


class Location(LocalPath):
    """A path as a Path, or the URL of an object or of a folder in a bucket as a RemotePath."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        return location(value) if is_remote(value) else super().convert(value, param, ctx)


def location(value: str) -> Path:
    """Return the path that a path or a URL says.

    Raises ModuleNotFoundError or RemoteError where the packages for such URLs are not there.
    """
    path = to_path(value)
    if isinstance(path, RemotePath):
        filesystem(path)
    return path


FOLDER = LocalPath(exists=True, file_okay=False)
NEW_FOLDER = LocalPath(file_okay=False)
FILE = LocalPath(exists=True, dir_okay=False)
NEW_FILE = LocalPath(dir_okay=False)
#: May be in a bucket.
ANY_PATH = Location(exists=True)
NEW_LOCATION = Location(file_okay=False)
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


def parse_assignment(text: str, option: str | None = None) -> tuple[str, Any]:
    """"a=1" -> ("a", 1), "a=word" -> ("a", "word"): JSON where it is JSON, else text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"should be KEY=VALUE, got {text!r}", param_hint=option)
    try:
        return key, parse_json(value)
    except ValueError:  # plain words need no quotes
        return key, value


def check_multiples(size: tuple[int, int], multiple: int, model: str) -> None:
    """Raise BadParameter, with the nearest size that fits, unless the sides are multiples."""
    if any(side % multiple for side in size) or not min(size):
        height, width = (max(1, round(side / multiple)) * multiple for side in size)
        fault = (f"should be multiples of {multiple} for {model}, got {size[0]}x{size[1]} "
                 f"(nearest: {height}x{width}, height x width)")  # fmt: skip
        raise click.BadParameter(fault, param_hint="--size")


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
