"""Real clips, and living scenes, become a table and histograms of what changes where nothing moves.

    .venv/bin/python scripts/residue_study.py --workers 2

measures the temporal residue of still areas on the clips below MOTIFOCAL_SHARED/ti2v-clips/videos
(outputs of image-to-video models, 320 pixels, 8 frames a second) and on living scenes, prints the
tables of docs/scenes.md and writes docs/images/residue.png. `--drawn` measures the scenes alone.

A static area is below 0.5 in every frame of the heatmap by pixels, has flow under one pixel
a frame at 320 pixels, and is 4 pixels away from anything else. There, from one frame to the next,
the brightness changes by b - g . s + r: a flicker b of the whole area, a shift s along the gradient
g, and a residue r of each pixel. All are independent of the clip's own content to first order.

F frames, P = F - 1 pairs, H W pixels. Grey levels are those of 8 bits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from itertools import pairwise, product
from pathlib import Path

import click
import cv2
import numpy as np
from heatmap_study import markdown
from numpy.typing import NDArray

from motifocal.media.arrays import Frames
from motifocal.media.video import read_video
from motifocal.motion.change import motion_evidence
from motifocal.motion.flow import estimate_flow
from motifocal.motion.heatmap import clip_heatmap, motion_heatmap
from motifocal.motion.settings import PIXEL_SETTINGS
from motifocal.scenes.drawing.residue import LEVELS, REST, Level
from motifocal.scenes.render import render
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.variant import SceneVariant

Still = NDArray[np.bool_]

SIZES = (320, 128, 64)
COLD, TINY, AWAY = 0.05, 1.0 / 320, 4  # heat; flow, picture widths a frame; pixels
LEAST_STILL = 0.05  # a clip with less still area is left out
QUANTILES = (5, 25, 50, 75, 90, 95)
LAGS = 10
PLAIN = 0.5  # grey levels a pixel; with less gradient than this no shift can be told
HOT, HALO = 0.5, 4  # heat; pixels around what a sentence moves that are not counted as residue
COMPONENTS = {
    "grain": ("grain", "grain_length"),
    "exposure and white balance": ("flicker", "white_balance"),
    "wind and ripples": ("sway",),
    "shake": ("shake",),
    "compression": ("quantiser",),
    "unnamed movers": ("movers",),
}
WORDS = {
    "deviation": "deviation of a pixel, grey levels",
    "length": "correlation length, pixels",
    "flicker": "flicker of the brightness, grey levels",
    "white_balance": "flicker of the colour, grey levels",
    "step": "shift from frame to frame, 1/1000 of the width",
}


@dataclass(frozen=True)
class Residue:
    """What changes in the still area of a clip; deviations are of one frame, not of a difference.

    `step` is the shift of the picture from one frame to the next along each axis, root mean square,
    in thousandths of its width; nan where the area is too plain to tell.
    """

    deviation: float
    length: float
    flicker: float
    white_balance: float
    step: float


def still_area(frames: Frames) -> Still:
    """(H, W), where nothing moves in any frame."""
    flow = estimate_flow(frames, workers=1)
    evidence = motion_evidence(frames, PIXEL_SETTINGS.noise, sharp=PIXEL_SETTINGS.sharp)
    heat = motion_heatmap(flow, PIXEL_SETTINGS, evidence=evidence).max(axis=0)
    speed = np.hypot(flow[:, 0], flow[:, 1]).max(axis=0)
    still = (heat < COLD) & (speed < TINY * frames.shape[2])
    around = 2 * AWAY + 1
    return cv2.erode(still.astype(np.uint8), np.ones((around, around), np.uint8)) > 0


def measure(frames: Frames, still: Still) -> Residue | None:
    """The residue of a clip in its still area (H, W); None where that is too small."""
    if still.mean() < LEAST_STILL:
        return None
    clip = frames.astype(np.float32)
    grey = clip @ np.array([0.299, 0.587, 0.114], np.float32)
    bends, shifts, rests = [], [], []
    for before, after in pairwise(grey):
        bend, shift, rest = _explained(before, after, still)
        bends.append(bend)
        shifts.append(shift)
        rests.append(rest)
    tint = (clip - grey[..., None])[:, still].mean(axis=1)
    half = np.sqrt(0.5)
    return Residue(
        deviation=float(np.sqrt(np.mean([np.square(rest[still]).mean() for rest in rests])) * half),
        length=_length(rests, still),
        flicker=float(np.std(bends) * half),
        white_balance=float(np.diff(tint, axis=0).std(axis=0).mean() * half),
        step=float(np.sqrt(np.mean(np.square(shifts))) * 1000 / frames.shape[2]),
    )


def _explained(
    before: NDArray[np.float32], after: NDArray[np.float32], still: Still
) -> tuple[float, NDArray[np.float64], NDArray[np.float32]]:
    """Flicker, shift (x, y) in pixels and the rest (H, W) between two grey frames."""
    change = after - before
    down, across = np.gradient((before + after) / 2)
    # Smoothed alike on both sides, so that noise in the gradient does not make shifts seem small.
    made, *causes = (cv2.GaussianBlur(picture, (0, 0), 1.0)[still]
                     for picture in (change, across, down))
    if np.sqrt(np.mean(np.square(causes))) < PLAIN:
        bend = float(change[still].mean())
        return bend, np.full(2, np.nan), change - np.float32(bend)
    columns = np.stack([np.ones_like(made), *causes], axis=1)
    solution = np.linalg.lstsq(columns, made, rcond=None)[0]
    rest = change - solution[0] - solution[1] * across - solution[2] * down
    return float(solution[0]), -solution[1:], rest.astype(np.float32)


def _length(rests: Sequence[NDArray[np.float32]], still: Still) -> float:
    """The distance in pixels at which the rests' correlation falls to 1/e, between whole lags."""
    correlation = [1.0]
    variance = np.mean([np.square(rest[still]).mean() for rest in rests])
    for lag in range(1, LAGS + 1):
        both = [(still[:, lag:] & still[:, :-lag], 1), (still[lag:] & still[:-lag], 0)]
        products = []
        for inside, axis in both:
            for rest in rests:
                ahead = rest[:, lag:] if axis else rest[lag:]
                behind = rest[:, :-lag] if axis else rest[:-lag]
                products.append((ahead * behind)[inside].mean() if inside.any() else 0.0)
        correlation.append(float(np.mean(products) / max(variance, 1e-9)))
        if correlation[-1] < np.exp(-1):
            fall = correlation[-2] - correlation[-1]
            return lag - 1 + (correlation[-2] - float(np.exp(-1))) / fall
    return float(LAGS)


def measured(path: Path) -> list[Residue | None]:
    """The residue of a video at every one of SIZES."""
    cv2.setNumThreads(1)
    frames = read_video(path).frames
    still = still_area(frames)
    return [measure(*scaled(frames, still, size)) for size in SIZES]


def scaled(frames: Frames, still: Still, size: int) -> tuple[Frames, Still]:
    """A clip and its still area, averaged down to `size` pixels."""
    if size == frames.shape[1]:
        return frames, still
    small = [cv2.resize(f, (size, size), interpolation=cv2.INTER_AREA) for f in frames]
    inside = cv2.resize(still.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return np.array(small, np.uint8), inside > 0.999


def drawn(variant: SceneVariant, size: int, seeds: int) -> Iterator[Residue | None]:
    """The residue of living scenes in which nothing moves, where the truth says that all is still.

    Places that the wind moves and unnamed movers are left out, as the heatmap leaves them out of
    generated clips.
    """
    for seed in range(seeds):
        for name in sorted(SCENARIOS):
            clip = render(make_stage(name, "train", seed, variant), None, size=size)
            yield measure(clip.frames, ~clip.residue.any(axis=0))


def table(rows: Mapping[str, Sequence[Residue]]) -> str:
    """Quantiles of every component for every set of clips."""
    body = []
    for component in fields(Residue):
        for name, residues in rows.items():
            values = np.array([getattr(residue, component.name) for residue in residues])
            numbers = np.nanpercentile(values, QUANTILES)
            body.append([WORDS[component.name], name, *(f"{number:.2f}" for number in numbers)])
    return markdown(["component", "clips", *(f"{q} %" for q in QUANTILES)], body)


def picture(
    path: Path, generated: Sequence[Residue], living: Mapping[str, Sequence[Residue]]
) -> None:
    """Histograms of the generated clips, with the median of each level of living scenes."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(fields(Residue)), figsize=(15, 2.8), layout="constrained")
    for panel, component in zip(panels, fields(Residue), strict=True):
        values = np.array([getattr(residue, component.name) for residue in generated])
        top = float(np.nanpercentile(values, 98))
        panel.hist(np.clip(values, 0, top), bins=30, range=(0, top), color="#9db4c8")
        for (name, residues), colour in zip(living.items(), ("#2f7d4f", "#b23a28"), strict=True):
            middle = float(np.nanmedian([getattr(r, component.name) for r in residues]))
            panel.axvline(middle, color=colour, label=name)
        panel.set_xlabel(WORDS[component.name].replace(", ", ",\n"))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("clips")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=90)


def hot_share(level: Level, size: int, seeds: int, moves: bool) -> float:
    """The share of the area away from what the sentence moves in which the default map is hot.

    Over clips of every scenario; `moves` is False for clips in which no sentence moves anything.
    """
    shares = []
    around = np.ones((2 * HALO + 1,) * 2, np.uint8)
    for seed, name in product(range(seeds), sorted(SCENARIOS)):
        stage = make_stage(name, "train", seed, SceneVariant("lively"))
        action = stage.actions[seed % len(stage.actions)] if moves else None
        clip = render(stage, action, size=size, level=level)
        near = cv2.dilate(clip.mask.any(axis=0).astype(np.uint8), around) > 0
        if not near.all():
            shares.append(float((clip_heatmap(clip.frames, workers=1)[:, ~near] > HOT).mean()))
    return float(np.mean(shares))


def gate_table(size: int, seeds: int) -> str:
    """The moving fraction of each level and component, with and without something that moves."""
    rows = []
    for name, level in LEVELS.items():
        parts = {"all of it": level} | {
            words: replace(REST, **{part: getattr(level, part) for part in parts})
            for words, parts in COMPONENTS.items()
        }
        for words, part in parts.items():
            shares = (hot_share(part, size, seeds, moves) for moves in (True, False))
            rows.append([name, words, *(f"{share:.2%}" for share in shares)])
    head = ["level", "component", "something moves", "nothing moves"]
    return markdown(head, rows)


@click.command()
@click.option("--drawn", "only_drawn", is_flag=True, help="Measure living scenes alone.")
@click.option("--seeds", default=4, show_default=True, help="Stages of each scenario.")
@click.option("--limit", type=int, help="Measure this many of the clips, for a try.")
@click.option("--workers", default=2, show_default=True, help="Processes.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              default=Path("docs/images/residue.png"), show_default=True)  # fmt: skip
def main(
    only_drawn: bool, seeds: int, limit: int | None, workers: int, output: Path
) -> None:
    """Print the tables of docs/scenes.md and write the picture of the histograms."""
    rows: dict[str, list[Residue]] = {}
    if not only_drawn:
        folder = Path(os.environ["MOTIFOCAL_SHARED"]) / "ti2v-clips" / "videos"
        paths = sorted(folder.rglob("*.mp4"))[:limit]
        with ProcessPoolExecutor(workers) as pool:
            every = list(pool.map(measured, paths))
        for place, size in enumerate(SIZES):
            rows[f"generated, {size} pixels"] = [r[place] for r in every if r[place] is not None]
        with_still_area = len(rows[f"generated, {SIZES[0]} pixels"])
        click.echo(f"{with_still_area} of {len(paths)} clips have still area")
    cv2.setNumThreads(1)
    living = {level: [r for r in drawn(SceneVariant(level), 64, seeds) if r is not None]
              for level in ("calm", "lively")}  # fmt: skip
    click.echo(table(rows | {f"{level}, 64 pixels": values for level, values in living.items()}))
    if not only_drawn:
        picture(output, rows["generated, 64 pixels"], living)
        click.echo(output)
    click.echo(gate_table(64, seeds))


if __name__ == "__main__":
    main()
