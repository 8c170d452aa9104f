"""The interface of all workers: apply a function to items, and yield results as they finish.

The function and the items have to be picklable where workers are processes. A model that the
function loads at its first call stays in the worker: every worker has one copy of the function.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

J = TypeVar("J")
R = TypeVar("R")


@dataclass(frozen=True)
class Done(Generic[J, R]):
    """An item with its result, or with the reason why there is none."""

    job: J
    result: R | None
    reason: str | None = None


def unlimited(job: object) -> float:
    """Give every item all the time it takes."""
    return float("inf")


class Workers(Protocol):
    """What applies functions to items: `Threads`, `Processes` or `Cluster`."""

    def run(
        self, work: Callable[[J], R], jobs: Iterable[J],
        seconds: Callable[[J], float] = unlimited,
    ) -> Generator[Done[J, R], None, None]:  # fmt: skip
        """Yield every item once, as it is done; one that takes longer than `seconds` is given up.

        Items are taken from `jobs` as workers need them, so that a million need no list.
        """
        ...


def top_up(waiting: deque[J], source: Iterator[J], count: int) -> None:
    """Take items from `source` until `count` are waiting, or none is left."""
    waiting.extend(islice(source, max(0, count - len(waiting))))


def in_order(
    workers: Workers, work: Callable[[J], R], jobs: Iterable[J]
) -> Iterator[Done[J, R]]:
    """Have items done, and yield them in their own order; they too are taken when needed."""
    taken: deque[J] = deque()
    ahead: dict[int, Done[J, R]] = {}

    def lent() -> Iterator[J]:
        for job in jobs:
            taken.append(job)
            yield job

    for done in workers.run(work, lent()):
        ahead[id(done.job)] = done
        while taken and id(taken[0]) in ahead:
            yield ahead.pop(id(taken.popleft()))


@dataclass(frozen=True)
class Part:
    """Part `index` (from 1) of `count` parts of all items, told by their names alone.

    An item stays in its part whatever other items there are, so that parts on machines that know
    nothing of each other make up the whole.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise ValueError(f"part should be i/n with 1 <= i <= n, got {self.index}/{self.count}")

    def holds(self, name: str) -> bool:
        """Tell whether the item of this name is in this part."""
        try:
            words = name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # a lone surrogate: a table may hold one, no file's name does
            words = name.encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(words).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1

    @property
    def word(self) -> str | None:
        """"2-of-4" for names of files and locks; None for the whole."""
        return f"{self.index}-of-{self.count}" if self.count > 1 else None

    def file(self, name: str) -> str:
        """Name the file of this part: "clips.csv" for the whole, else "clips-2-of-4.csv"."""
        stem, dot, suffix = name.rpartition(".")
        return f"{stem}-{self.word}{dot}{suffix}" if self.word else name


WHOLE = Part()


def files_of_parts(name: str) -> str:
    """Return a glob pattern for the files that `Part.file` names, but the whole's."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-*-of-*{dot}{suffix}"
