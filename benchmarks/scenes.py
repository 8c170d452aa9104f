"""Clips of synthetic scenes, rendered on one core at 64 and at 256 pixels, still and living.

Every clip is of a stage that was not drawn before, as in a training set: backgrounds are kept in
memory and a second clip of the same stage would be cheaper. 16 frames, masks included.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import cv2
from measure import RATIO_HEADER, machine, markdown, parser, ratio_rows, read, take_turns

from motifocal.scenes.render import render
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.variant import STANDARD, SceneVariant

SIZES, LIVING_SIZES = (64, 256), (64, 128)


def main(arguments: Sequence[str] | None = None) -> None:
    values = read(parser(__doc__, rounds=10), arguments)
    scenarios = sorted(SCENARIOS)[: 2 if values.quick else None]
    ways: dict[str, Callable[[], object]] = {}
    for size in SIZES:
        ways[f"{size} x {size}"] = drawer(scenarios, size=size)
    ways[f"{SIZES[0]} x {SIZES[0]}, with flow"] = drawer(scenarios, size=SIZES[0], with_flow=True)
    for size in LIVING_SIZES:
        ways[f"{size} x {size}, living"] = drawer(scenarios, SceneVariant("lively"), size=size)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        times = take_turns(ways, values.rounds)
    finally:
        cv2.setNumThreads(threads)
    rows = [
        [*row, f"{len(scenarios) / statistics.median(times[row[0]]):.3g}"]
        for row in ratio_rows(times, list(ways), next(iter(ways)))
    ]
    print(machine(values.rounds), markdown((*RATIO_HEADER, "clips/s a core"), rows), sep="\n\n")


def drawer(
    scenarios: Sequence[str], variant: SceneVariant = STANDARD, **options: Any
) -> Callable[[], None]:
    """Draws a clip of each scenario when called, with a new stage each time."""
    seeds = count()

    def draw() -> None:
        for name in scenarios:
            stage = make_stage(name, "train", next(seeds), variant)
            render(stage, stage.actions[0], **options)

    return draw


if __name__ == "__main__":
    main()
