"""Functions that tests send to workers: a file that imports little, as each worker imports it."""

from __future__ import annotations

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


class Loading:
    """Loads its model at the first call, and says how often that was in this process."""

    def __init__(self) -> None:
        self.loads = 0
        self.model: str | None = None

    def __call__(self, number: int) -> tuple[int, int]:
        if self.model is None:
            self.loads, self.model = self.loads + 1, "model"
        return number, self.loads
