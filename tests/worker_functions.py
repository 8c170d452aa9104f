"""Functions that tests send to workers: a file that imports little, as each worker imports it."""

from __future__ import annotations

import errno
import os
import signal


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


class Loading:
    """Loads its model at the first call, and says how often that was in this process."""

    def __init__(self) -> None:
        self.loads = 0
        self.model: str | None = None

    def __call__(self, number: int) -> tuple[int, int]:
        if self.model is None:
            self.loads, self.model = self.loads + 1, "model"
        return number, self.loads
