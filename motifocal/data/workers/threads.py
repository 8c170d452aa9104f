"""Workers that are threads: decoder, flow and encoders let go of the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from motifocal.data.workers.items import Done, J, R, unlimited


@dataclass(frozen=True)
class Threads:
    """`count` threads. What the function raises ends it all; no item is given up."""

    count: int

    def run(
        self, work: Callable[[J], R], jobs: Sequence[J],
        seconds: Callable[[J], float] = unlimited,
    ) -> Generator[Done[J, R], None, None]:  # fmt: skip
        """Yield items as they are done; `seconds` is not kept, as no thread can be ended."""
        with ThreadPoolExecutor(self.count) as pool:
            try:
                futures = {pool.submit(work, job): job for job in jobs}
                for future in as_completed(futures):
                    yield Done(futures[future], future.result())
            finally:
                pool.shutdown(cancel_futures=True)
