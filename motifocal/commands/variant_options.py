"""Options that say what kind of scenes are drawn, and the variant they come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from motifocal.scenes.variant import SceneVariant

F = TypeVar("F", bound=Callable[..., Any])


def variant_options(command: F) -> F:
    """--background, --level and --difficulty, as `variant_of` takes them."""
    options = (
        click.option("--background", type=click.Choice(["still", "living"]), default="still",
                     show_default=True, help="Drawn world: living adds what real clips have, "
                     "grain, flicker, wind, shake, compression."),
        click.option("--level", type=click.Choice(["calm", "lively"]), default=None,
                     help="How strong a living background is.  [default: calm]"),
        click.option("--difficulty", type=click.Choice(["standard", "hard"]), default="standard",
                     show_default=True, help="Drawn world: hard has small movers on photographic "
                     "backgrounds."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def variant_of(options: dict[str, Any]) -> SceneVariant:
    """Takes the options of `variant_options` out of a command's, and gives the variant they say.

    Raises UsageError for a level of a still background.
    """
    from motifocal.scenes.variant import SceneVariant

    living = options.pop("background") == "living"
    level, difficulty = options.pop("level"), options.pop("difficulty")
    if level and not living:
        raise click.UsageError("--level goes with --background living")
    return SceneVariant((level or "calm") if living else "still", difficulty)
