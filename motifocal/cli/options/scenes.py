"""Options for the kind of scenes that are drawn, and the variant that they select."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import F, together

if TYPE_CHECKING:
    from collections.abc import Callable

    from motifocal.scenes.variant import SceneVariant

BUNDLED = "bundled"
SIZE = click.IntRange(min=16)  # side of a frame, pixels


LIVING = "Scenes: living adds what real clips have: grain, flicker, wind, camera shake, compression"


def _background(kinds: list[str], text: str) -> Callable[[F], F]:
    return click.option("--background", type=click.Choice(kinds), default="still",
                        show_default=True, help=text)


_OTHERS = together(
    click.option("--level", type=click.Choice(["calm", "lively"]), default=None,
                 help="How strong a living background is.  [default: calm]"),
    click.option("--difficulty", type=click.Choice(["standard", "hard"]), default="standard",
                 show_default=True, help="Scenes: hard has small moving objects on photographic "
                 "backgrounds."),
)
#: --background, --level and --difficulty, as `variant_of` takes them.
variant_options = together(_background(["still", "living"], f"{LIVING}."), _OTHERS)
#: The same of a set of clips, which may be mixed.
clips_variant_options = together(
    _background(["still", "living", "mixed"],
                f"{LIVING}; mixed keeps half of the clips still, a quarter is calm, one lively."),
    _OTHERS,
)


def variant_of(options: dict[str, Any]) -> SceneVariant:
    """Takes the options of `variant_options` out of a command's, and gives the variant they say.

    Raises UsageError for a level of a background that is not living.
    """
    from motifocal.scenes.variant import SceneVariant

    background = options.pop("background")
    level, difficulty = options.pop("level"), options.pop("difficulty")
    if level and background != "living":
        raise click.UsageError("--level goes with --background living")
    return SceneVariant((level or "calm") if background == "living" else background, difficulty)


def source_folder(source: str) -> Path:
    """The folder that SOURCE names, where `bundled` is the model that comes with the package."""
    if source == BUNDLED:
        from motifocal.models.pipeline import BUNDLED as FOLDER

        return FOLDER
    folder = Path(source)
    if not folder.is_dir():
        raise click.BadParameter(f"{source} is no folder", param_hint="SOURCE")
    return folder
