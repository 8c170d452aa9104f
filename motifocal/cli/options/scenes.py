"""Options that say what kind of scenes are drawn, and the variant they come to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import together

if TYPE_CHECKING:
    from motifocal.scenes.variant import SceneVariant

BUNDLED = "bundled"
SIZE = click.IntRange(min=16)  # side of a frame, pixels


#: --background, --level and --difficulty, as `variant_of` takes them.
variant_options = together(
    click.option("--background", type=click.Choice(["still", "living"]), default="still",
                 show_default=True, help="Scenes: living adds what real clips have, "
                 "grain, flicker, wind, shake, compression."),
    click.option("--level", type=click.Choice(["calm", "lively"]), default=None,
                 help="How strong a living background is.  [default: calm]"),
    click.option("--difficulty", type=click.Choice(["standard", "hard"]), default="standard",
                 show_default=True, help="Scenes: hard has small movers on photographic "
                 "backgrounds."),
)


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


def source_folder(source: str) -> Path:
    """The folder that SOURCE names, where `bundled` is the model that comes with the package."""
    if source == BUNDLED:
        from motifocal.models.pipeline import BUNDLED as FOLDER

        return FOLDER
    folder = Path(source)
    if not folder.is_dir():
        raise click.BadParameter(f"{source} is no folder", param_hint="SOURCE")
    return folder
