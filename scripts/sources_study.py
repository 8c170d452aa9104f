"""Drawn clips, whose true motion is known, become tables of what each source of weight finds.

    .venv/bin/python scripts/sources_study.py

prints the tables of docs/heatmap.md on sources, cameras and the size at which flow is estimated,
and draws the curve of the last. RAFT needs its weights, `--raft-small FILE`, `--raft-large FILE`,
else it is left out.

F frames, H W pixels. Frames are (F, H, W, 3) uint8, truth is (F-1, H, W) bool.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import cv2
import numpy as np
from heatmap_study import CAMERAS, Score, displaces, markdown, mean, score, write_noisy
from numpy.typing import NDArray

from motifocal.media.arrays import Frames
from motifocal.motion.flow import DIS_PRESETS
from motifocal.motion.heatmap import DEFAULT_SETTINGS, Heatmap, HeatmapSettings, clip_heatmap
from motifocal.motion.settings import PIXEL_SETTINGS
from motifocal.motion.vectors import read_vector_motion
from motifocal.scenes.render import SceneClip, render
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.world import Action, Stage

SIZE = 320
SIZES = (0, 240, 160, 120, 80)
#: Share of the image with texture that a camera estimate needs: see `motifocal.motion.camera`.
TEXTURED = 0.2
Way = Callable[["Case"], Heatmap]


@dataclass(frozen=True)
class Case:
    """A clip as video, and what is true of it."""

    path: Path
    frames: Frames
    truth: NDArray[np.bool_]
    clip: SceneClip


@dataclass(frozen=True)
class Trio:
    """One sentence with a resting and with a moving camera, and the moving camera alone."""

    rest: Case
    camera: Case
    only: Case
    textured: bool


def trios(rounds: int, seed: int, folder: Path) -> Iterator[Trio]:
    """Every scenario in which something moves, so many times, cameras in turn."""
    from motifocal.motion.camera import textured

    for number, name in enumerate(sorted(SCENARIOS) * rounds):
        stage = make_stage(name, "eval", seed + number)
        actions = [action for action in stage.actions if displaces(stage, action)]
        if not actions:
            continue
        action, camera = actions[number % len(actions)], CAMERAS[number % len(CAMERAS)]
        cases = [
            filmed(folder / f"{number}-{place}.mp4", stage, of, number, camera=view)
            for place, (of, view) in enumerate(
                ((action, "static"), (action, camera), (None, camera)))
        ]
        yield Trio(*cases, textured=float(textured(cases[2].frames).mean()) > TEXTURED)


def filmed(path: Path, stage: Stage, action: Action | None, noise: int, **view: Any) -> Case:
    """A clip drawn and encoded; the last map repeats the one before, so its mask is left out."""
    clip = render(stage, action, size=SIZE, **view)
    return Case(path, write_noisy(path, clip.frames, noise), clip.mask[:-1], clip)


def by_settings(settings: HeatmapSettings) -> Way:
    return lambda case: clip_heatmap(case.frames, settings, workers=1)


def by_vectors(settings: HeatmapSettings) -> Way:
    """Decoding included, unlike the others."""
    return lambda case: read_vector_motion(case.path, grey=not settings.sees_colour).heatmap(
        settings)  # fmt: skip


def by_latents() -> Way:
    """The bundled autoencoder's latents, each weight spread over the pixels it covers."""
    import torch

    from motifocal.loss.latent_difference import latent_weight
    from motifocal.loss.latent_grid import FAMILIES
    from motifocal.media.video import to_tensor
    from motifocal.models.autoencoder import encode
    from motifocal.models.folder import load_autoencoder
    from motifocal.models.pipeline import BUNDLED

    autoencoder = load_autoencoder(BUNDLED, torch.float32)
    geometry = FAMILIES["sd"]

    def way(case: Case) -> Heatmap:
        with torch.no_grad():
            latents = encode(autoencoder, to_tensor(case.frames)[None], 4)
        weight = latent_weight(latents, geometry, len(case.frames))[0, 0]
        stride = geometry.spatial_stride
        return np.kron(weight.numpy(), np.ones((1, stride, stride), np.float32))

    return way


def sources(raft_weights: Mapping[str, str | None]) -> dict[str, Way]:
    """Name of a row -> how the map of a clip is made; each RAFT has a file of its own."""
    vectors, removed = {"source": "vectors"}, {"camera": True}
    ways = {
        "DIS, the default": by_settings(DEFAULT_SETTINGS),
        "DIS, `--camera`": by_settings(replace(DEFAULT_SETTINGS, **removed)),
        "DIS, by pixels": by_settings(PIXEL_SETTINGS),
        "DIS, by pixels, `--camera`": by_settings(replace(PIXEL_SETTINGS, **removed)),
        "vectors": by_vectors(replace(DEFAULT_SETTINGS, **vectors)),
        "vectors, `--camera`": by_vectors(replace(DEFAULT_SETTINGS, **vectors, **removed)),
        "vectors, by pixels": by_vectors(replace(PIXEL_SETTINGS, **vectors)),
        "vectors, not compared": by_vectors(replace(PIXEL_SETTINGS, **vectors, noise=0)),
        "Farnebäck": by_settings(replace(DEFAULT_SETTINGS, source="farneback")),
    }
    for name, weights in raft_weights.items():
        if weights:
            settings = replace(DEFAULT_SETTINGS, source=name, raft_weights=weights, flow_size=0)
            ways[f"RAFT, {name[5:]}"] = by_settings(settings)
    ways["change of the latents"] = by_latents()
    ways["objects, moving or not"] = lambda case: case.clip.objects.astype(np.float32)
    ways["chance: all moving"] = lambda case: np.ones(case.clip.objects.shape, np.float32)
    return ways


def source_rows(clips: Sequence[Trio], ways: dict[str, Way]) -> list[list[str]]:
    """How far the map of each source overlaps the truth, camera at rest and moving."""
    rows = []
    for name, way in ways.items():
        scores: dict[str, list[Score]] = defaultdict(list)
        seconds = 0.0
        for trio in clips:
            began = time.process_time()
            heat = way(trio.rest)
            seconds += time.process_time() - began
            scores["rest"].append(score(heat, trio.rest.truth))
            scores["camera"].append(score(way(trio.camera), trio.camera.truth))
        rest, camera = mean(scores["rest"]), mean(scores["camera"])
        rows.append([
            name, *(f"{rest[key]:.2f}" for key in ("IoU", "precision", "recall", "latents")),
            f"{rest['moving']:.1%}", f"{camera['IoU']:.2f}", f"{camera['moving']:.1%}",
            f"{1000 * seconds / len(clips):.0f} ms",
        ])  # fmt: skip
    return rows


def camera_rows(clips: Sequence[Trio]) -> list[list[str]]:
    """What removing the camera does, on backgrounds with and without texture to follow."""
    rows = []
    named = {"kept": DEFAULT_SETTINGS, "removed": replace(DEFAULT_SETTINGS, camera=True)}
    for textured, (name, settings) in product((True, False), named.items()):
        chosen = [trio for trio in clips if trio.textured == textured]
        way = by_settings(settings)
        both = mean([score(way(trio.camera), trio.camera.truth) for trio in chosen])
        rest = mean([score(way(trio.rest), trio.rest.truth) for trio in chosen])
        only = [float((way(trio.only)[:-1] > 0.5).mean()) for trio in chosen]
        rows.append([
            f"{'textured' if textured else 'mostly untextured'}, camera {name}",
            f"{np.mean(only):.1%}", f"{np.median(only):.1%}", f"{both['recall']:.2f}",
            f"{both['moving']:.1%}", f"{both['IoU']:.2f}", f"{rest['IoU']:.2f}", str(len(chosen)),
        ])  # fmt: skip
    return rows


def size_rows(clips: Iterable[Trio]) -> list[dict[str, Any]]:
    """IoU, its difference from full size, and time, for presets and sizes of the frames."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for trio, preset, size in product(clips, DIS_PRESETS, SIZES):
        way = by_settings(replace(DEFAULT_SETTINGS, preset=preset, flow_size=size))
        began = time.process_time()
        heat = way(trio.rest)
        seconds = time.process_time() - began
        found[preset, size].append((score(heat, trio.rest.truth)["IoU"], seconds))
    full = np.array([iou for iou, _ in found["medium", 0]])
    rows = []
    for (preset, size), values in found.items():
        iou, seconds = np.array(values).T
        lost = iou - full
        rows.append({
            "preset": preset, "size": size, "IoU": iou.mean(), "lost": lost.mean(),
            "error": lost.std(ddof=1) / np.sqrt(len(lost)), "ms": 1000 * seconds.mean(),
        })  # fmt: skip
    return rows


def draw_curve(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """What is lost and what it costs, over the size of the frames, one line a preset."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
    lost, cost = figure.subplots(1, 2)
    for preset in DIS_PRESETS:
        own = [row for row in rows if row["preset"] == preset]
        sides = [row["size"] or SIZE for row in own]
        lost.errorbar(sides, [row["lost"] for row in own], yerr=[row["error"] for row in own],
                      marker="o", capsize=3, label=preset)  # fmt: skip
        cost.plot(sides, [row["ms"] for row in own], marker="o", label=preset)
    lost.axhline(0, color="grey", linewidth=0.8, linestyle=":")
    lost.set(xlabel="shorter side of the frames, pixels", ylim=(-0.06, 0.02),
             ylabel="IoU against medium at full size")  # fmt: skip
    cost.set(xlabel="shorter side of the frames, pixels", ylim=(0, None),
             ylabel="CPU time of a map, ms a clip")  # fmt: skip
    cost.legend(title="DIS")
    figure.savefig(path, dpi=110)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True,
              help="Clips of each scenario.")
@click.option("--seed", default=0, show_default=True, help="Of the stages and the noise.")
@click.option("--raft-small", metavar="FILE", help="Weights; without them it is left out.")
@click.option("--raft-large", metavar="FILE", help="Weights; without them it is left out.")
@click.option("--images", type=click.Path(path_type=Path, file_okay=False),
              default=Path(__file__).parents[1] / "docs" / "images", help="Where pictures go.")
def main(rounds: int, seed: int, raft_small: str | None, raft_large: str | None,
         images: Path) -> None:  # fmt: skip
    """Print the tables of docs/heatmap.md on sources, cameras and sizes, and draw the curve."""
    cv2.setNumThreads(1)
    images.mkdir(parents=True, exist_ok=True)
    folder = Path(click.get_current_context().with_resource(TemporaryDirectory()))
    clips = list(trios(rounds, seed, folder))
    true = np.mean([trio.rest.truth.mean() for trio in clips])
    print(f"\n### Sources: {len(clips)} clips of {SIZE} pixels, {true:.1%} of the area moves\n")
    header = ["", "IoU", "precision", "recall", "IoU on latents", "moving", "camera: IoU",
              "camera: moving", "CPU per clip"]  # fmt: skip
    ways = sources({"raft-small": raft_small, "raft-large": raft_large})
    print(markdown(header, source_rows(clips, ways)), flush=True)
    print("\n### Camera\n")
    header = ["", "camera only: moving", "median", "both: recall", "both: moving", "both: IoU",
              "static camera: IoU", "clips"]  # fmt: skip
    print(markdown(header, camera_rows(clips)), flush=True)
    print("\n### Size of the frames\n")
    rows = size_rows(clips)
    header = ["", "shorter side", "IoU", "against full size", "CPU per heatmap"]
    print(markdown(header, [
        [row["preset"], str(row["size"] or SIZE), f"{row['IoU']:.3f}",
         f"{row['lost']:+.4f} ± {row['error']:.4f}", f"{row['ms']:.0f} ms"] for row in rows
    ]))  # fmt: skip
    draw_curve(images / "heatmap-flow-size.png", rows)


if __name__ == "__main__":
    main()
