"""A running training becomes a progress bar, TensorBoard curves, and a clean stop on a signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

SMOOTH = 0.95  # of the loss and the speed that the bar shows


@dataclass
class Stop:
    """Whether a signal asked for the end, and which."""

    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """What shells expect of a program that a signal ended: SIGINT 130, SIGTERM 143."""
        return 0 if self.signal is None else 128 + self.signal


@contextmanager
def stop_on_signals(console: Console) -> Iterator[Stop]:
    """Inside, SIGINT and SIGTERM are noted for the caller to end the run; a second one ends it."""
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None:
            raise SystemExit(128 + number)
        stop.signal = number
        console.print("stopping after this step; once more to stop at once")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class TrainingBar:
    """A progress bar with the smoothed loss, the rate, samples a second and the time left."""

    def __init__(self, console: Console, step: int, steps: int, batch: int) -> None:
        columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(),
                   TextColumn("loss {task.fields[loss]:.4f}  rate {task.fields[rate]:.1e}  "
                              "{task.fields[speed]:.2f} samples/s"),
                   TimeRemainingColumn())
        self.progress = Progress(*columns, console=console)
        self.batch, self.loss, self.seconds = batch, 0.0, 0.0
        self.task: TaskID = self.progress.add_task(
            "step", total=steps, completed=step, loss=0.0, rate=0.0, speed=0.0
        )

    def show(self, line: dict[str, float]) -> None:
        """Take the log line of a step."""
        first = self.seconds == 0.0
        self.loss = line["loss"] if first else _smooth(self.loss, line["loss"])
        self.seconds = line["seconds"] if first else _smooth(self.seconds, line["seconds"])
        self.progress.update(self.task, completed=line["step"], loss=self.loss, rate=line["rate"],
                             speed=self.batch / self.seconds)


def _smooth(before: float, now: float) -> float:
    return SMOOTH * before + (1 - SMOOTH) * now


def tensorboard(folder: Path, step: int) -> Any | None:
    """A writer of TensorBoard events that goes on after `step`; None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
