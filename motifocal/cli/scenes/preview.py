"""`motifocal scenes preview`: a contact sheet, or all prompts playing at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import LocalPath
from motifocal.cli.options.renamed import old_option
from motifocal.cli.options.scenes import SIZE, variant_of, variant_options
from motifocal.cli.output.progress import quiet_option, tracked

if TYPE_CHECKING:
    from motifocal.scenes.evaluation.evaluate import Frames
    from motifocal.scenes.variant import SceneVariant

CAMERAS = ("static", "left", "right", "up", "down", "in", "out")


@click.command(epilog="""
\b
Examples:
  motifocal scenes preview
  motifocal scenes preview balloons fish -o fish.gif --seed 3
  motifocal scenes preview car --masks --camera-motion left
  motifocal scenes preview duck -o duck.gif --background living --level lively
""")
@click.argument("scenario", nargs=-1)
@click.option("-o", "--output", type=LocalPath(dir_okay=False),
              default=Path("scenes.png"), show_default=True,
              help=".png, .jpg, .webp: a contact sheet; .gif, .mp4: all prompts playing at once.")
@click.option("--seed", default=0, show_default=True, help="Another seed, another image.")
@click.option("--size", type=SIZE, default=128, show_default=True, help="Side of a frame, pixels.")
@click.option("--camera-motion", "camera", type=click.Choice(CAMERAS), default="static",
              show_default=True, help="What the camera does meanwhile.")
@old_option("--camera", "--camera-motion", "camera")
@click.option("--masks", is_flag=True, help="Show beside each clip where it truly moves.")
@variant_options
@quiet_option
def preview(
    scenario: tuple[str, ...], output: Path, seed: int, size: int, camera: str, masks: bool,
    **options: Any,
) -> None:
    """Draw synthetic scenes, each with all its prompts.

    SCENARIO names what to draw, as in `balloons fish`; all of them by default.
    """
    from motifocal.media.sheet import contact_sheet, moving_grid
    from motifocal.media.video import write_image, write_video
    from motifocal.scenes.stage import SCENARIOS

    unknown = sorted(set(scenario) - set(SCENARIOS))
    if unknown:
        listed = ", ".join(sorted(SCENARIOS))
        raise click.BadParameter(f"{unknown[0]} is none of {listed}", param_hint="SCENARIO")
    names = scenario or tuple(sorted(SCENARIOS))
    variant = variant_of(options)
    drawn = [(name, _preview_rows(name, seed, size, camera, masks, variant))
             for name in tracked(names, "drawing", len(names))]
    if output.suffix.lower() in (".gif", ".mp4"):
        rows = [[(text, clip) for text, clips in rows for clip in clips] for _, rows in drawn]
        write_video(output, moving_grid(rows, side=size), 8)
    else:
        write_image(output, contact_sheet(drawn, side=size))
    click.echo(output)


def _preview_rows(
    name: str, seed: int, size: int, camera: str, masks: bool, variant: SceneVariant
) -> list[tuple[str, list[Frames]]]:
    """Return every prompt of one image, with its clip and, if wanted, where it moves."""
    import numpy as np

    from motifocal.motion.overlay import heatmap_overlay
    from motifocal.scenes.render import render
    from motifocal.scenes.stage import make_stage

    stage = make_stage(name, "eval", seed, variant)
    rows = []
    for action in stage.actions:
        clip = render(stage, action, size=size, camera=camera)  # type: ignore[arg-type]
        clips = [clip.frames]
        if masks:
            clips.append(heatmap_overlay(clip.frames, clip.mask.astype(np.float32)))
        rows.append((clip.caption, clips))
    return rows
