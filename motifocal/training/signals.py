"""Stop a training cleanly on SIGINT and SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from motifocal.training.processes import LostProcess


@dataclass
class Stop:
    """Whether a signal asked for the end, and which."""

    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """What shells expect of a program that a signal ended: SIGINT 130, SIGTERM 143."""
        return 0 if self.signal is None else 128 + self.signal


@contextmanager
def stop_on_signals(say: Callable[[str], None]) -> Iterator[Stop]:
    """Inside, SIGINT and SIGTERM are noted for the caller to end the run; a second one ends it.

    Where LostProcess is raised, SIGTERM is ignored from then on: torchrun sends it at that moment,
    and this process would end before it says why.
    """
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None:
            raise SystemExit(128 + number)
        stop.signal = number
        say("stopping after this step; once more to stop at once")

    before: dict[int, Any] = {number: signal.signal(number, note)
                              for number in (signal.SIGINT, signal.SIGTERM)}  # fmt: skip
    try:
        yield stop
    except LostProcess:
        before[signal.SIGTERM] = signal.SIG_IGN
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
