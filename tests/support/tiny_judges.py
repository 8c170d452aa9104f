"""Judges for tests, and folders of results that they judge."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tiny_bench import DrawingModel, write_benchmark

from motifocal.bench.judge.judge import Answer, Failure, Query
from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results, open_results
from motifocal.bench.run import run


class RuleJudge:
    """A judge that is a function of the query; counts what it was asked."""

    def __init__(self, rule: Callable[[Query], float | Failure], name: str = "rule",
                 batch: int = 3) -> None:
        self.rule, self.name, self.batch = rule, name, batch
        self.identity: Mapping[str, Any] = {"judge": name}
        self.asked: list[Query] = []

    def ask(self, queries: Sequence[Query]) -> list[Answer | Failure]:
        self.asked += queries
        outcomes = [self.rule(query) for query in queries]
        return [outcome if isinstance(outcome, Failure) else Answer(outcome)
                for outcome in outcomes]


def chance(*parts: bytes) -> float:
    """A number in (0, 1) that is a function of some bytes."""
    digest = hashlib.sha256(b"".join(parts)).digest()
    return (int.from_bytes(digest[:4], "big") + 0.5) / 2**32


def first_frame_only(query: Query) -> float:
    """What a judge says that sees nothing but the first frame."""
    return chance(np.ascontiguousarray(query.frames[0]).tobytes(), query.prompt.encode())


def results_in(folder: Path, model: str = "drawing",
               prompts: Mapping[str, Sequence[str]] | None = None) -> Results:
    """A benchmark of a few pictures and a finished folder of results of a drawing model."""
    bench = folder / "bench"
    if not bench.exists():
        write_benchmark(bench, prompts) if prompts else write_benchmark(bench)
    benchmark = read_benchmark(bench, own_pairs=True)
    drawing = DrawingModel(model)
    results = Results(folder / model, model, drawing.settings, benchmark, (0,), drawing.format)
    assert all(outcome.failure is None for outcome in run(drawing, results))
    return open_results(folder / model)


def videos(count: int, frames: int = 3) -> list[Query]:
    """Queries of so many videos of noise, of two sizes of texts."""
    rng = np.random.default_rng(5)
    return [Query(rng.integers(0, 256, (frames, 28, 36, 3), np.uint8), f"prompt {k}",
                  f"Does it show {'one thing' if k % 2 else 'another, longer thing'} {k}?")
            for k in range(count)]


FRAMES = np.arange(5 * 2 * 2 * 3, dtype=np.uint8).reshape(5, 2, 2, 3)


def query(frames: np.ndarray = FRAMES, prompt: str = "a ball rises") -> Query:
    return Query(frames, prompt, "Does it rise?")
