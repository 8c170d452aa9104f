"""`motifocal heatmap`: clips become motion heatmaps, overlays, and one picture to judge them by."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.commands.size import Size

if TYPE_CHECKING:
    import numpy as np

    from motifocal.heatmap import HeatmapSettings

STRIP_CLIPS = 6  # at most, in the filmstrip of a run
HOT = 0.5


@click.command(epilog="""\b
Examples:
  motifocal heatmap clip.mp4 -o maps/ --overlay
  motifocal heatmap clips/ -o maps/ --unit percentile --threshold 0.1
  motifocal heatmap clips/ -o maps/ --format mp4 --size 320x512 --fps 8
""")
@click.argument("clips", nargs=-1, required=True, metavar="CLIP...",
                type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="Folder for the maps; maps that are there already are left as they are.")
@click.option("--overlay", is_flag=True, help="Also write the clip with its heat on top, as mp4.")
@click.option("--format", "suffix", type=click.Choice(["npz", "mp4"]), default="npz",
              show_default=True, help="npz: uint8 `heatmap` (F, H, W), 255 is 1; mp4: grey video.")
@click.option("--unit", type=click.Choice(["pixels", "fraction", "maximum", "percentile"]),
              help="What counts as 1 before sigma.  [default: see docs/heatmap.md]")
@click.option("--slope", type=click.FloatRange(0, min_open=True), help="Of sigma.  [default: 100]")
@click.option("--threshold", type=click.FloatRange(0, min_open=True),
              help="Of sigma.  [default: 0.05]")
@click.option("--floor", type=click.FloatRange(0), help="Pixels a frame; slower is never hot.")
@click.option("--noise", type=click.FloatRange(0), help="Grey levels; smaller changes are noise.")
@click.option("--size", type=Size(), help="Scale and crop to HEIGHTxWIDTH first.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Resample to this rate first.")
@click.option("--workers", type=click.IntRange(1), help="Threads.  [default: one a core]")
def heatmap(clips: tuple[Path, ...], output: Path, overlay: bool, suffix: str, **options: Any
            ) -> None:
    """Write the motion heatmap of every CLIP; folders are searched for clips.

    A clip that cannot be read is listed at the end with its reason, and the exit code is 1; the
    others are done all the same. Prints each clip's share of hot area.
    """
    from rich.console import Console
    from rich.progress import track

    settings = _settings(options)
    jobs = list(_jobs(clips, output, suffix))
    if not jobs:
        raise click.UsageError("the folders given hold no clip")
    output.mkdir(parents=True, exist_ok=True)
    bad: list[str] = []
    shares: list[float] = []
    strips: list[np.ndarray] = []
    for clip, target in track(jobs, "heatmaps", console=Console(stderr=True), transient=True):
        try:
            share, strip = _one(clip, target, overlay, settings, options)
        except ValueError as error:  # VideoError among them: the clip is at fault, not the run
            bad.append(f"{clip}: {error}")
            continue
        shares.append(share)
        click.echo(f"{target}  {100 * share:5.1f} % hot")
        if len(strips) < STRIP_CLIPS:
            strips.append(strip)
    if shares:
        click.echo(f"{len(shares)} clips, {100 * sum(shares) / len(shares):.1f} % hot on average")
        click.echo(_write_strips(output, strips))
    for line in bad:
        click.echo(line, err=True)
    if bad:
        click.echo(f"{len(bad)} of {len(jobs)} clips could not be used", err=True)
        sys.exit(1)


def _settings(options: dict[str, Any]) -> HeatmapSettings:
    from dataclasses import replace

    from motifocal.heatmap import DEFAULT_SETTINGS

    names = ("unit", "slope", "threshold", "floor", "noise")
    given = {name: options[name] for name in names if options[name] is not None}
    return replace(DEFAULT_SETTINGS, **given)


def _jobs(clips: tuple[Path, ...], output: Path, suffix: str) -> Iterator[tuple[Path, Path]]:
    """Every clip with the file of its map; names that would meet get their folder's in front."""
    from motifocal.video import list_videos

    found = [video for clip in clips for video in list_videos(clip)]
    names = [video.stem for video in found]
    for video in dict.fromkeys(found):
        clear = names.count(video.stem) == 1
        stem = video.stem if clear else "_".join([*video.resolve().parts[-3:-1], video.stem])
        yield video, output / f"{stem}_heatmap.{suffix}"


def _one(
    clip: Path, target: Path, overlay: bool, settings: HeatmapSettings, options: dict[str, Any]
) -> tuple[float, np.ndarray]:
    """Make what is missing of one clip's files; its share of hot area and its filmstrip."""
    from motifocal.heatmap import clip_heatmap, load_heatmap, save_heatmap
    from motifocal.overlay import filmstrip, heatmap_overlay
    from motifocal.video import read_video, resize_crop, write_video

    source = read_video(clip, fps=options["fps"])
    frames = resize_crop(source.frames, *options["size"]) if options["size"] else source.frames
    if target.exists():
        made = load_heatmap(target)[0]
        if made.shape != frames.shape[:3]:
            raise ValueError(f"{target} should be {frames.shape[:3]}, got {made.shape}; remove it")
    else:
        made = clip_heatmap(frames, settings, workers=options["workers"])
        save_heatmap(target, made, settings, fps=source.fps)
    shown = target.with_name(target.stem + "_overlay.mp4")
    if overlay and not shown.exists():
        write_video(shown, heatmap_overlay(frames, made), source.fps)
    return float((made > HOT).mean()), filmstrip(frames, made)


def _write_strips(output: Path, strips: list[np.ndarray]) -> Path:
    """The filmstrips of the first clips, one under the other, all as wide as the first."""
    import cv2
    import numpy as np

    from motifocal.video import write_image

    width = strips[0].shape[1]
    rows = [
        cv2.resize(s, (width, round(s.shape[0] * width / s.shape[1])), interpolation=cv2.INTER_AREA)
        for s in strips
    ]
    path = output / "filmstrip.png"
    write_image(path, np.concatenate(rows).astype(np.uint8))
    return path
