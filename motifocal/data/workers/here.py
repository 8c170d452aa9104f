"""The worker that is the caller itself: an exception in it ends the run."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from motifocal.data.workers.items import Done, J, R, unlimited


@dataclass(frozen=True)
class Here:
    """Does one item after the other where it is called."""

    def run(
        self, work: Callable[[J], R], jobs: Iterable[J],
        seconds: Callable[[J], float] = unlimited,
    ) -> Generator[Done[J, R], None, None]:  # fmt: skip
        """Yield items in their order, each before the next is taken; `seconds` is not kept."""
        for job in jobs:
            yield Done(job, work(job))
