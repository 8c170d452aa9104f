"""The true videos of evaluation pairs, at a size that tests can afford."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from motifocal.scenes.evaluation.evaluate import EvalPair, Frames, Truth, truth_of
from motifocal.scenes.stage import make_stage

SMALL = 32


@cache
def stage_truth(scenario: str, seed: int, size: int) -> Truth:
    return truth_of(make_stage(scenario, "eval", seed), size=size)


def truth(pair: EvalPair) -> Truth:
    return stage_truth(pair.scenario, pair.seed, pair.size)


def true_videos(pairs: list[EvalPair]) -> Iterator[tuple[EvalPair, Frames]]:
    return ((pair, truth(pair).clips[pair.action]) for pair in pairs)
