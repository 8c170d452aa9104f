"""Functions that tests send to workers: a file that imports little, as each worker imports it."""

from __future__ import annotations

import errno
import os
import signal
import time
from typing import Any


def square(number: int) -> int:
    return number * number


def poisonous(number: int) -> int:
    """3 takes its process with it, and 5 raises."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        raise ValueError("five is right out")
    return number * number


def on_a_full_disk(number: int) -> int:
    """1 has no room for its result."""
    if number == 1:
        raise OSError(errno.ENOSPC, "No space left on device", "map.npz")
    return number


def slow_model() -> Any:
    """A model that draws, and takes long enough for a node to be lost meanwhile."""
    from tiny_bench import DrawingModel

    return DrawingModel(trouble=lambda job: time.sleep(0.2))


def deadly_model() -> Any:
    """A model that draws, and one of whose videos takes the process with it."""
    from tiny_bench import DrawingModel

    def trouble(job: Any) -> None:
        if "its_still" in job.output.name:
            os.kill(os.getpid(), signal.SIGKILL)

    return DrawingModel(trouble=trouble)


class Loading:
    """Loads its model at the first call, and says how often that was in this process."""

    def __init__(self) -> None:
        self.loads = 0
        self.model: str | None = None

    def __call__(self, number: int) -> tuple[int, int]:
        if self.model is None:
            self.loads, self.model = self.loads + 1, "model"
        return number, self.loads
