"""A study of drawn clips for the tests of its pages: real sentences, short videos, in a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from motifocal.bench.pairs import Benchmark, Pair
from motifocal.bench.results import Results, claim_results
from motifocal.media.video import write_image, write_video
from motifocal.scenes.render import render
from motifocal.scenes.stage import make_stage
from motifocal.study.create.study import create_study
from motifocal.study.messages import Answer
from motifocal.study.protocol import Protocol
from motifocal.study.store.store import Store

SCENARIOS = ("balloons", "fish", "duck", "bird", "sun", "bulbs")
OURS, THEIRS = "motif-ours", "baseline-theirs"
ANSWER = Answer("left", ("object_motion",), 5000, 2, 0)
CODES = {"completion_code": "C0DE-9471", "screen_out_code": "OUT-5512"}


def drawn_study(
    folder: Path, *, scenarios: Sequence[str] = SCENARIOS, size: int = 48, frames: int = 5,
    sentences: Mapping[str, str] | None = None, models: Sequence[str] = (OURS, THEIRS),
    protocol: Mapping[str, Any] | None = None,
) -> Store:  # fmt: skip
    """A study in `folder`; the first model does what the sentence says, the second something else.

    `sentences`: other ones for some scenarios. `protocol`: settings over one without gold items,
    which takes votes at once.
    """
    told, clips, pictures = [], {}, {}
    for scenario in scenarios:
        stage = make_stage(scenario, "eval", 1)
        actions = [render(stage, action, size=size, frames=frames) for action in stage.actions[:2]]
        prompt = (sentences or {}).get(scenario, actions[0].caption)
        told.append(Pair(scenario, f"{scenario}_1", prompt))
        clips[scenario] = actions
        pictures[scenario] = actions[0].frames[0]
    benchmark = Benchmark("drawn pairs", tuple(told), len(told))
    made = []
    for number, model in enumerate(models):
        results = Results(folder / f"model{number}", model, {}, benchmark, (0,), None)
        claim_results(results)
        for video in results.expected():
            scenario = video.pair.scenario
            write_image(results.image(video.pair), pictures[scenario])
            write_video(video.path, clips[scenario][min(number, 1)].frames, 8)
        made.append(results)
    rules = Protocol(**{"gold_every": 0, "least_seconds": 0, **CODES, **(protocol or {})})
    create_study(folder / "study.db", made[0], made[1:], rules)
    return Store(folder / "study.db")
