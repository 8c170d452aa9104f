"""Ask a judge many queries in batches; answers are stored, so a later run asks only the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from motifocal.bench.judge.judge import (
    BAD_STATUS,
    NO_CONNECTION,
    NO_LOGPROBS,
    PROGRAM,
    TIMED_OUT,
    Answer,
    Failure,
    Judge,
    Query,
    query_key,
)
from motifocal.files.json_lines import append_line, read_lines

T = TypeVar("T")
Outcome = Answer | Failure
#: Told what is being done, how many questions are done, of how many.
Progress = Callable[[str, int, int], object]
PATIENCE = 16  # failures of the judge itself, before any answer, after which asking is given up
_OF_THE_JUDGE = (NO_CONNECTION, BAD_STATUS, TIMED_OUT, NO_LOGPROBS, PROGRAM)


class AnswerCache:
    """The answers of earlier runs by `query_key`, without lines that a crash has torn.

    Failures are not kept: the next run asks again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[str, Answer] = {}
        for line in read_lines(path) if path.exists() else ():
            key, probability, mass = (line.get(name) for name in ("key", "probability", "mass"))
            if isinstance(key, str) and isinstance(probability, float | int) and isinstance(
                mass, float | int
            ):
                self._answers[key] = Answer(float(probability), float(mass))

    def get(self, key: str) -> Answer | None:
        return self._answers.get(key)

    def add(self, key: str, answer: Answer) -> None:
        append_line(self.path, {"key": key, "probability": answer.probability,
                                "mass": answer.mass})
        self._answers[key] = answer


def ask_all(
    judge: Judge, queries: Iterable[tuple[T, Query]], cache: AnswerCache
) -> Iterator[tuple[T, Outcome]]:
    """Yield what every query, named by a T, came to; the order may be another.

    Memory holds one batch. Raises ValueError where the judge cannot be reached at all: the first
    `PATIENCE` questions failed for a reason of its own.
    """
    waiting: dict[str, tuple[Query, list[T]]] = {}
    tried = _Tried(judge.name)
    for name, query in queries:
        key = query_key(judge, query)
        kept = cache.get(key)
        if kept is not None:
            yield name, kept
            continue
        waiting.setdefault(key, (query, []))[1].append(name)
        if len(waiting) >= judge.batch:
            yield from _asked(judge, waiting, cache, tried)
            waiting = {}
    yield from _asked(judge, waiting, cache, tried)


def _asked(
    judge: Judge, waiting: dict[str, tuple[Query, list[T]]], cache: AnswerCache, tried: _Tried
) -> Iterator[tuple[T, Outcome]]:
    if not waiting:
        return
    outcomes = judge.ask([query for query, _ in waiting.values()])
    tried.note(outcomes)
    for (key, (_, names)), outcome in zip(waiting.items(), outcomes, strict=True):
        if isinstance(outcome, Answer):
            cache.add(key, outcome)
        for name in names:
            yield name, outcome


class _Tried:
    """Counts failures until the first answer."""

    def __init__(self, name: str) -> None:
        self.name, self.failures, self.answered = name, 0, False

    def note(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Answer) or outcome.kind not in _OF_THE_JUDGE:
                self.answered = True
            elif not self.answered:
                self.failures += 1
                if self.failures >= PATIENCE:
                    raise ValueError(f"{self.name} has answered none of the first {PATIENCE} "
                                     f"questions; the last one: {outcome}")
