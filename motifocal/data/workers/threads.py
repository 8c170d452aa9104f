"""Workers that are threads: decoder, flow and encoders release the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

from motifocal.data.workers.items import Done, J, R, unlimited

#: Items of a thread that are at work or next, so that none waits for the one that takes results.
_AHEAD = 8


@dataclass(frozen=True)
class Threads:
    """`count` threads. What the function raises ends it all; no item is given up."""

    count: int

    def run(
        self, work: Callable[[J], R], jobs: Iterable[J],
        seconds: Callable[[J], float] = unlimited,
    ) -> Generator[Done[J, R], None, None]:  # fmt: skip
        """Yield items as they are done; `seconds` is not kept, as no thread can be ended."""
        with ThreadPoolExecutor(self.count) as pool:
            try:
                source, futures = iter(jobs), dict[Future[R], J]()
                while True:
                    for job in islice(source, _AHEAD * self.count - len(futures)):
                        futures[pool.submit(work, job)] = job
                    if not futures:
                        return
                    ended = wait(futures, return_when=FIRST_COMPLETED).done
                    # What is done comes before an error, which ends the run.
                    for future in sorted(ended, key=_failed):
                        yield Done(futures.pop(future), future.result())
            finally:
                pool.shutdown(cancel_futures=True)


def _failed(future: Future[R]) -> bool:
    return future.exception() is not None
