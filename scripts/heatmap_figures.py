"""Drawn clips and the scores of a study become the pictures of docs/heatmap.md.

F frames, H W pixels. Frames are (F, H, W, 3) uint8, a picture is (H, W, 3) uint8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes

from motifocal.media.picture import Pixels
from motifocal.media.sheet import GAP, PAPER, label, labelled
from motifocal.media.video import write_image
from motifocal.motion.heatmap import DEFAULT_SETTINGS, UNITS, Heatmap, HeatmapSettings, clip_heatmap
from motifocal.motion.overlay import filmstrip, heatmap_overlay
from motifocal.scenes.render import SceneClip, render
from motifocal.scenes.stage import make_stage

SIDE = 160
MIDDLE = 7  # the frame that stands for a clip
UNIT_CLIPS = (("balloons", 1, 0), ("fish", 1, 0), ("duck", 1, 1), ("tide", 2, 0))


def draw(
    images: Path,
    scores: Mapping[int, Mapping[str, Mapping[str, Mapping[str, float]]]],
    thresholds: Mapping[str, Sequence[float]],
) -> None:
    """Write all of them: heatmap.png, heatmap-units.png and heatmap-threshold.png."""
    images.mkdir(parents=True, exist_ok=True)
    clip = drawn("car", 1, 0, 256)
    write_image(images / "heatmap.png", filmstrip(clip.frames, clip_heatmap(clip.frames)))
    named = {unit: replace(DEFAULT_SETTINGS, unit=unit) for unit in UNITS}
    write_image(images / "heatmap-units.png", grid(UNIT_CLIPS, named, MIDDLE))
    chart(images / "heatmap-threshold.png", scores, thresholds)


def drawn(scenario: str, seed: int, action: int, size: int = SIDE) -> SceneClip:
    stage = make_stage(scenario, "eval", seed)
    return render(stage, stage.actions[action], size=size)


def grid(
    clips: Sequence[tuple[str, int, int]], named: Mapping[str, HeatmapSettings], at: int
) -> Pixels:
    """A row a clip: a frame, the one after the next, where it truly moves, a map per settings."""
    rows = []
    for clip in (drawn(*which) for which in clips):
        maps: dict[str, Heatmap] = {"truth": clip.mask.astype(np.float32)}
        maps |= {name: clip_heatmap(clip.frames, settings) for name, settings in named.items()}
        cells = {"frame": clip.frames[at], "two later": clip.frames[at + 2]}
        cells |= {name: heatmap_overlay(clip.frames, heat)[at] for name, heat in maps.items()}
        rows.append((clip.caption, row_of(cells)))
    return labelled(rows)


def row_of(cells: Mapping[str, Pixels]) -> Pixels:
    """Pictures side by side, each with its name below."""
    columns = [np.concatenate([picture, label([name], SIDE)]) for name, picture in cells.items()]
    gap = np.full((columns[0].shape[0], GAP, 3), PAPER, np.uint8)
    parts = [part for column in columns for part in (column, gap)]
    return np.concatenate(parts[:-1], axis=1)


def chart(
    path: Path,
    scores: Mapping[int, Mapping[str, Mapping[str, Mapping[str, float]]]],
    thresholds: Mapping[str, Sequence[float]],
) -> None:
    """IoU with the truth against the threshold, a line per unit, a panel per size of frame."""
    figure = matplotlib.figure.Figure(figsize=(8, 3), layout="constrained")
    panels = figure.subplots(1, len(scores))
    for panel, (size, of) in zip(panels, scores.items(), strict=True):
        for unit, values in thresholds.items():
            found = [of[f"{unit} > {value:g}"]["moves, as video"]["IoU"] for value in values]
            panel.plot(values, found, marker="o", markersize=3, label=unit)
        finish(panel, f"{size} x {size} pixels")
    panels[0].set_ylabel("IoU with the true mask")
    panels[0].legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=110)


def finish(panel: Axes, title: str) -> None:
    panel.axvline(DEFAULT_SETTINGS.threshold, color="0.8", linewidth=1, zorder=0)
    panel.set(xscale="log", title=title, xlabel="threshold, in the unit", ylim=(0, 0.7))
    panel.spines[["top", "right"]].set_visible(False)
