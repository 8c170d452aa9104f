"""Drawn scenes: their stages and clips."""

from __future__ import annotations

from motifocal.scenes.render import SceneClip, render
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.world import Action, Stage

NAMES = sorted(SCENARIOS)


def stages(split: str, seeds: range) -> list[Stage]:
    return [make_stage(name, split, seed) for name in NAMES for seed in seeds]  # type: ignore[arg-type]


def clips(seeds: range, **options: object) -> list[tuple[Stage, Action, SceneClip]]:
    return [(stage, action, render(stage, action, with_flow=True, **options))  # type: ignore[arg-type]
            for stage in stages("train", seeds) for action in stage.actions]
