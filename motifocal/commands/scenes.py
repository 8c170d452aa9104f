"""`motifocal scenes`: look at the drawn world, export it for other tools, score videos on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.commands.locking import lock_output
from motifocal.commands.old_options import old_option
from motifocal.commands.progress import progress, quiet_option, tracked
from motifocal.commands.scenes_compare import compare
from motifocal.commands.scenes_eval import SIZE, evaluate
from motifocal.commands.scenes_probe import probe
from motifocal.commands.variant_options import variant_of, variant_options

if TYPE_CHECKING:
    from motifocal.scenes.evaluate import Frames
    from motifocal.scenes.variant import SceneVariant

CAMERAS = ("static", "left", "right", "up", "down", "in", "out")


@click.group()
def scenes() -> None:
    """The drawn world: pictures drawn by code, each with several sentences that animate it.

    Because picture and sentence fix the video, what moves, where and how is known exactly.
    """


@scenes.command(epilog="""
\b
Examples:
  motifocal scenes preview
  motifocal scenes preview balloons fish -o fish.gif --seed 3
  motifocal scenes preview car --masks --camera-motion left
  motifocal scenes preview duck -o duck.gif --background living --level lively
""")
@click.argument("scenario", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              default=Path("scenes.png"), show_default=True,
              help=".png, .jpg, .webp: a contact sheet; .gif, .mp4: all sentences playing at once.")
@click.option("--seed", default=0, show_default=True, help="Another seed, another picture.")
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
    """Draw pictures of the world, each with all its sentences.

    SCENARIO names what to draw, as in `balloons fish`; all of them by default.
    """
    from motifocal.scenes.sheet import contact_sheet, moving_grid
    from motifocal.scenes.stage import SCENARIOS
    from motifocal.video import write_image, write_video

    unknown = sorted(set(scenario) - set(SCENARIOS))
    if unknown:
        names = ", ".join(sorted(SCENARIOS))
        raise click.BadParameter(f"{unknown[0]} is none of {names}", param_hint="SCENARIO")
    chosen = scenario or tuple(sorted(SCENARIOS))
    variant = variant_of(options)
    drawn = [(name, _preview_rows(name, seed, size, camera, masks, variant))
             for name in tracked(chosen, "drawing", len(chosen))]
    if output.suffix.lower() in (".gif", ".mp4"):
        rows = [[(text, clip) for text, clips in rows for clip in clips] for _, rows in drawn]
        write_video(output, moving_grid(rows, side=size), 8)
    else:
        write_image(output, contact_sheet(drawn, side=size))
    click.echo(output)


def _preview_rows(
    name: str, seed: int, size: int, camera: str, masks: bool, variant: SceneVariant
) -> list[tuple[str, list[Frames]]]:
    """Every sentence of one picture, with its clip and, if wanted, where it moves."""
    import numpy as np

    from motifocal.overlay import heatmap_overlay
    from motifocal.scenes.render import render
    from motifocal.scenes.stage import make_stage

    stage = make_stage(name, "eval", seed, variant)
    rows = []
    for action in stage.actions:
        clip = render(stage, action, size=size, camera=camera)  # type: ignore[arg-type]
        shown = [clip.frames]
        if masks:
            shown.append(heatmap_overlay(clip.frames, clip.mask.astype(np.float32)))
        rows.append((clip.caption, shown))
    return rows


@scenes.command(epilog="""
\b
Examples:
  motifocal scenes export -o drawn --clips 2000
  motifocal scenes export -o drawn-moving --clips 500 --camera-motion mixed --truth --size 256
  motifocal scenes export -o bench --kind benchmark --size 256 --truth
  motifocal scenes export -o hard --clips 500 --size 128 --background living --difficulty hard
""")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="The folder to write. Run again to continue after an interruption.")
@click.option("--kind", type=click.Choice(["dataset", "benchmark"]), default="dataset",
              show_default=True,
              help="Captioned clips to train on (a Hugging Face videofolder), or pictures and "
              "prompts to animate (TI2V-Bench's layout).")
@click.option("--size", type=SIZE, default=64, show_default=True, help="Side of a frame, pixels.")
@click.option("--truth", is_flag=True, help="Dataset: masks and optical flow as .npz. Benchmark: "
              "the true videos.")
@click.option("--clips", type=click.IntRange(min=1), help="Dataset: how many.  [default: 1000]")
@click.option("--split", type=click.Choice(["train", "eval"]),
              help="Dataset: eval shows combinations that train never does.  [default: train]")
@click.option("--frames", type=click.IntRange(min=2), help="Dataset: per clip.  [default: 16]")
@click.option("--seed", type=int, help="Dataset: other clips.  [default: 0]")
@click.option("--camera-motion", "camera", type=click.Choice(["static", "moving", "mixed"]),
              help="Dataset: mixed moves it in half of the clips.  [default: static]")
@old_option("--camera", "--camera-motion", "camera")
@click.option("--lossless", is_flag=True, default=None,
              help="Dataset: each clip a folder of PNG frames, not an .mp4.")
@click.option("--pairs", type=click.IntRange(min=1),
              help="Benchmark: how many pictures with a sentence.  [default: 320]")
@variant_options
@quiet_option
def export(
    output: Path, kind: str, size: int, truth: bool, clips: int | None, split: str | None,
    frames: int | None, seed: int | None, camera: str | None, lossless: bool | None,
    pairs: int | None, **options: Any,
) -> None:
    """Write the drawn world as folders that other tools read."""
    from motifocal.scenes.export import (
        BenchmarkSettings,
        DatasetSettings,
        export_benchmark,
        export_dataset,
    )

    variant = variant_of(options)
    own = {"clips": clips, "split": split, "frames": frames, "seed": seed, "camera": camera,
           "lossless": lossless}
    foreign = {"pairs": pairs} if kind == "dataset" else own
    for name, value in foreign.items():
        if value is not None:
            option = {"camera": "camera-motion"}.get(name, name)
            raise click.UsageError(f"--{option} does not go with --kind {kind}")
    lock_output(output)
    if kind == "dataset":
        settings = DatasetSettings(
            clips=clips or 1000, split=split or "train", size=size,  # type: ignore[arg-type]
            frames=frames or 16, seed=seed or 0, camera=camera or "static",  # type: ignore[arg-type]
            truth=truth, lossless=bool(lossless), variant=variant,
        )
        _drain(export_dataset(output, settings), "drawing clips", settings.clips)
    else:
        count = pairs or 320
        done = export_benchmark(output, BenchmarkSettings(count, size, truth, variant))
        _drain(done, "drawing pairs", count)
    click.echo(output)


for command in (evaluate, probe, compare):
    scenes.add_command(command)


def _drain(done: Iterator[int], doing: str, total: int) -> None:
    """Run an export to its end, showing how much of it is done."""
    with progress(doing, total) as bar:
        for count in done:
            bar.reach(count)
