"""Drawn clips, whose true motion is known, become tables of which heatmap settings find it.

    .venv/bin/python scripts/heatmap_study.py

prints the tables of docs/heatmap.md and draws its pictures. Where the environment variable
MOTIFOCAL_SHARED names the folder of generated clips, those are counted too; they have no truth.

F frames, H W pixels. Frames are (F, H, W, 3) uint8, truth is (F-1, H, W) bool.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import click
import cv2
import heatmap_figures
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames
from motifocal.media.video import list_videos, read_video, write_video
from motifocal.motion.change import colour_change, motion_evidence
from motifocal.motion.flow import Flow, estimate_flow
from motifocal.motion.heatmap import Heatmap, motion_heatmap
from motifocal.motion.settings import PIXEL_SETTINGS, UNITS, HeatmapSettings
from motifocal.scenes.render import Camera, render
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.world import Action, Stage, State

STAGES = {64: 4, 256: 2}  # a scenario, by the size of the frames
CAMERAS: tuple[Camera, ...] = ("left", "in", "down", "out", "right", "up")
GATES: dict[str, dict[str, float]] = {
    "no gate": {"noise": 0.0}, "wide gate": {"sharp": False}, "sharp gate": {"sharp": True},
}  # fmt: skip
THRESHOLDS = {
    "pixels": (0.05, 0.2, 0.5, 1.0),
    "fraction": (0.0025, 0.005, 0.01, 0.02, 0.05),
    "maximum": (0.0125, 0.025, 0.05, 0.1, 0.2),
    "percentile": (0.0125, 0.025, 0.05, 0.1, 0.2),
}
CHANGES = (0.0, 8.0, 12.0, 16.0, 24.0)
ALL_HOT, ALL_COLD = 0.9, 0.001

Score = dict[str, float]
#: name of settings -> kind of clip -> scores, each the mean over the clips
Scores = dict[str, dict[str, Score]]


@dataclass(frozen=True)
class Case:
    """A clip, its estimated flow, and what is true of it."""

    kind: str
    frames: Frames
    flow: Flow
    truth: NDArray[np.bool_]
    true_flow: Flow


def cases(size: int, seed: int) -> Iterator[Case]:
    """Four clips of each stage: as drawn, as video, the picture that stands still, and a camera."""
    for name, number in product(sorted(SCENARIOS), range(STAGES[size])):
        stage = make_stage(name, "eval", seed + number)
        action = stage.actions[number % len(stage.actions)]
        kind = "moves" if displaces(stage, action) else "colour"
        yield case(kind, stage, action, size)
        yield case(f"{kind}, as video", stage, action, size, noise=seed + number)
        yield case("still, as video", stage, None, size, noise=seed + number)
        if kind == "moves":
            yield case("camera", stage, action, size, CAMERAS[number % len(CAMERAS)])


def case(
    kind: str, stage: Stage, action: Action | None, size: int,
    camera: Camera = "static", noise: int | None = None,
) -> Case:  # fmt: skip
    clip = render(stage, action, size=size, camera=camera, with_flow=True)
    frames = clip.frames if noise is None else as_video(clip.frames, noise)
    assert clip.flow is not None
    # The last map only repeats the one before, so the last mask has nothing to be compared with.
    return Case(kind, frames, estimate_flow(frames, workers=1), clip.mask[:-1], clip.flow)


def displaces(stage: Stage, action: Action) -> bool:
    """False where the sentence only changes how things look, as a light that turns green."""

    def place(state: State) -> State:
        return replace(state, look=0.0)

    starts = {name: stage.actors[name].state for name in action.moves}
    return any(
        place(move(starts[name], u)) != place(starts[name])
        for name, move in action.moves.items()
        for u in np.linspace(0, 1, 16)
    )


def as_video(frames: Frames, seed: int) -> Frames:
    """The frames with a sensor's noise (+-2 grey levels) through H.264 at crf 23."""
    with tempfile.TemporaryDirectory() as folder:
        return write_noisy(Path(folder) / "clip.mp4", frames, seed)


def write_noisy(path: Path, frames: Frames, seed: int) -> Frames:
    noisy = frames + np.random.default_rng(seed).integers(-2, 3, (*frames.shape[:3], 1))
    write_video(path, np.clip(noisy, 0, 255).astype(np.uint8), 8, crf=23)
    return read_video(path).frames


def gates_of(frames: Frames) -> dict[str, NDArray[np.bool_] | None]:
    wide, sharp = (motion_evidence(frames, PIXEL_SETTINGS.noise, sharp=s) for s in (False, True))
    return {"no gate": None, "wide gate": wide, "sharp gate": sharp}


def gate_of(settings: HeatmapSettings) -> str:
    return ("sharp gate" if settings.sharp else "wide gate") if settings.noise else "no gate"


def score(heatmap: Heatmap, truth: NDArray[np.bool_]) -> Score:
    """Of one clip; nan where a ratio is of nothing.

    "latents" is the IoU of what the loss gets: map and truth averaged over 8x8 pixels, the sum of
    the smaller over the sum of the larger.
    """
    heat, hot = heatmap[:-1], heatmap[:-1] > 0.5
    both, either = float((hot & truth).sum()), float((hot | truth).sum())
    pooled = [
        v.reshape(len(v), v.shape[1] // 8, 8, -1, 8).mean(axis=(2, 4))
        for v in (heat, truth.astype(np.float32))
    ]
    parts = {
        "IoU": (both, either),
        "precision": (both, float(hot.sum())),
        "recall": (both, float(truth.sum())),
        "latents": (float(np.minimum(*pooled).sum()), float(np.maximum(*pooled).sum())),
    }
    ratios = {
        name: part / whole if whole else float("nan") for name, (part, whole) in parts.items()
    }
    return {**ratios, "moving": float(hot.mean()), "true": float(truth.mean())}


def mean(scores: Sequence[Score]) -> Score:
    """nan only where all are: a still clip has no truth to recall."""
    known = {name: [s[name] for s in scores if not np.isnan(s[name])] for name in scores[0]}
    return {name: float(np.mean(of)) if of else float("nan") for name, of in known.items()}


def scored(clips: Iterable[Case], named: Mapping[str, HeatmapSettings]) -> Scores:
    found: dict[str, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        gates, change = gates_of(clip.frames), colour_change(clip.frames, clip.flow)
        for name, settings in named.items():
            evidence = gates[gate_of(settings)]
            heat = motion_heatmap(clip.flow, settings, evidence=evidence, change=change)
            found[name][clip.kind].append(score(heat, clip.truth))
    return {name: {k: mean(scores) for k, scores in of.items()} for name, of in found.items()}


def all_settings() -> dict[str, dict[str, HeatmapSettings]]:
    """Title of a table -> name of a row -> its settings; one thing at a time leaves the default."""
    default = PIXEL_SETTINGS
    return {
        "Unit": {
            f"{unit}, {gate}": replace(default, unit=unit, floor=floor, **GATES[gate])  # type: ignore[arg-type]
            for unit in UNITS
            for gate, floor in (("no gate", 0.0), ("sharp gate", default.floor))
        },
        "Gate and floor": {
            f"{gate}, floor {floor:g}": replace(default, floor=floor, **GATES[gate])  # type: ignore[arg-type]
            for gate in GATES
            for floor in (0.0, 0.15, 0.3)
        },
        "Threshold": {
            f"{unit} > {threshold:g}": replace(default, unit=unit, threshold=threshold)
            for unit, thresholds in THRESHOLDS.items()
            for threshold in thresholds
        },
        "Change of colour": {f"change {c:g}": replace(default, change=c) for c in CHANGES},
    }


def detailed(names: Iterable[str], scores: Scores) -> str:
    """All that is known of clips in which something moves, one number of each other kind."""
    columns = ("IoU", "precision", "recall", "latents", "moving")
    others = ("moves, as video", "camera", "colour")
    header = ["", *columns, "as video: IoU", "camera: IoU", "colour: IoU", "static: moving"]
    rows = [
        [
            name,
            *(cell(scores[name]["moves"], column) for column in columns),
            *(cell(scores[name][kind], "IoU") for kind in others),
            cell(scores[name]["still, as video"], "moving"),
        ]
        for name in names
    ]
    return markdown(header, rows)


def cell(scores: Score, column: str) -> str:
    return f"{scores[column]:.1%}" if column in ("moving", "true") else f"{scores[column]:.2f}"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def flows_table(clips: Iterable[Case]) -> str:
    """Other ways to estimate the flow of small frames; with the true flow, the most there is."""
    ways: dict[str, Callable[[Case], Flow]] = {
        "as they are": lambda clip: estimate_flow(clip.frames, workers=1),
        "enlarged 2x": lambda clip: enlarged(clip.frames, 2),
        "enlarged 4x": lambda clip: enlarged(clip.frames, 4),
        "the true flow": lambda clip: clip.true_flow,
    }
    found: dict[tuple[str, str, str], list[Score]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    moving = [clip for clip in clips if clip.kind.startswith("moves")]
    for clip, (way, flow_of) in product(moving, ways.items()):
        began = time.process_time()
        flow = flow_of(clip)
        seconds[way] += time.process_time() - began
        for gate, evidence in gates_of(clip.frames).items():
            heat = motion_heatmap(flow, evidence=evidence)
            found[way, gate, clip.kind].append(score(heat, clip.truth))
    columns = list(product(("no gate", "sharp gate"), ("moves", "moves, as video")))
    rows = [
        [way, *(cell(mean(found[way, gate, kind]), "IoU") for gate, kind in columns),
         f"{1000 * seconds[way] / len(moving):.0f} ms"]
        for way in ways
    ]  # fmt: skip
    return markdown(["", *(f"IoU {kind}, {gate}" for gate, kind in columns), "CPU per clip"], rows)


def enlarged(frames: Frames, factor: int) -> Flow:
    """Flow of the frames scaled up, brought back to their own size."""
    _, height, width, _ = frames.shape
    size = (width * factor, height * factor)
    larger = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_CUBIC) for f in frames])
    flow = estimate_flow(larger.astype(np.uint8, copy=False), workers=1).transpose(0, 2, 3, 1)
    back = [cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in flow]
    return np.stack(back).transpose(0, 3, 1, 2) / np.float32(factor)


def real_table(videos: Sequence[Path]) -> str:
    """Hot shares of generated clips, without a truth to compare with."""
    shares: dict[str, list[float]] = defaultdict(list)
    for video in videos:
        frames = read_video(video).frames
        flow, gates = estimate_flow(frames, workers=1), gates_of(frames)
        for name, settings in all_settings()["Unit"].items():
            heat = motion_heatmap(flow, settings, evidence=gates[gate_of(settings)])
            shares[name].append(float((heat > 0.5).mean()))
    rows = [
        [name, f"{np.mean(of):.1%}", *(f"{np.quantile(of, q):.1%}" for q in (0.1, 0.5, 0.9)),
         str(sum(share > ALL_HOT for share in of)), str(sum(share < ALL_COLD for share in of))]
        for name, of in shares.items()
    ]  # fmt: skip
    limits = (f"> {ALL_HOT:.0%}", f"< {ALL_COLD:.1%}")
    return markdown(["", "mean", "lowest tenth", "median", "highest tenth", *limits], rows)


@click.command()
@click.option("--seed", default=0, show_default=True, help="Of the stages and the noise.")
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(__file__).parents[1] / "docs" / "images",
    help="Where pictures go.",
)
def main(seed: int, images: Path) -> None:  # fmt: skip
    """Print the tables of docs/heatmap.md and draw its pictures."""
    cv2.setNumThreads(1)
    began, tables, by_size = time.process_time(), all_settings(), {}
    named = {name: settings for rows in tables.values() for name, settings in rows.items()}
    for size in STAGES:
        by_size[size] = scored(cases(size, seed), named)
        for title, rows in tables.items():
            true = next(iter(by_size[size].values()))["moves"]["true"]
            print(f"\n### {title}: {size} pixels, {true:.1%} of the area moves\n")
            print(detailed(rows, by_size[size]), flush=True)
    print(f"\n### Flow: 64 pixels\n\n{flows_table(cases(64, seed))}", flush=True)
    if "MOTIFOCAL_SHARED" in os.environ:
        videos = list_videos(Path(os.environ["MOTIFOCAL_SHARED"]) / "ti2v-clips" / "videos")
        print(f"\n### {len(videos)} generated clips\n\n{real_table(videos)}", flush=True)
    heatmap_figures.draw(images, by_size, THRESHOLDS)
    print(f"\n{time.process_time() - began:.0f} s of CPU time")


if __name__ == "__main__":
    main()
