"""Show the progress of a long command on stderr: a line as each phase begins, and its progress.

A terminal shows a bar. Anywhere else, such as in a log file, a plain line is written at the start
of a phase, at its end, and every ten seconds between them. `--quiet` leaves all of it out.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

PERIOD = 10.0  # seconds from one line to the next where there is no terminal
QUIET = "motifocal.quiet"


def quiet_option(command: F) -> F:
    """Add --quiet, which `announce` and `progress` obey; the command itself does not see it."""

    def remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        ctx.meta[QUIET] = value

    return click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=remember,
                        help="Do not print progress; results, warnings and errors are still "
                        "printed.")(command)


def is_quiet() -> bool:
    """Tell whether the running command was given --quiet, or is not the first of several."""
    if os.environ.get("RANK", "0") != "0":  # of the processes of one training the first speaks
        return True
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(QUIET))


def announce(text: str) -> None:
    """Print one line on stderr, unless --quiet was given."""
    if not is_quiet():
        click.echo(text, err=True)


def leave_to_the_first_process(text: str) -> None:
    """Say nothing: what all processes of a training find out, one of them says."""


@contextmanager
def phase(doing: str) -> Iterator[None]:
    """Say that a phase without countable parts begins, and at its end how long it took."""
    began = time.monotonic()
    announce(f"{doing} ...")
    yield
    announce(f"{doing}: {duration(time.monotonic() - began)}")


class Progress:
    """How many parts of a phase are done. Shows no progress itself, only the lines that stay."""

    def __init__(self, total: int, done: int = 0) -> None:
        self.done, self.total = done, total

    def reach(self, done: int, note: str = "", total: int | None = None) -> None:
        """Show that `done` parts are done by now; `total` where it turns out to be another."""
        self.done, self.total = done, self.total if total is None else total
        self.show(note)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Show that `count` more parts are done."""
        self.reach(self.done + count, note)

    def announce(self, text: str) -> None:
        """Print a line on stderr that stays, unless --quiet was given."""
        if not is_quiet():
            self.say(text)

    def say(self, text: str) -> None:
        """Print a line on stderr that stays, bar or no bar, --quiet or not."""
        click.echo(text, err=True)

    def show(self, note: str) -> None:
        """Show how far the phase is; `note` may be empty."""

    def close(self) -> None:
        """End the phase, all of it done or not."""


@contextmanager
def progress(doing: str, total: int, done: int = 0) -> Iterator[Progress]:
    """Show on stderr, inside, how many of `total` parts are done; `done` were before."""
    if is_quiet() or total == 0:
        bar = Progress(total, done)
    else:
        bar = (Bar if sys.stderr.isatty() else Lines)(doing, total, done)
    try:
        yield bar
    finally:
        bar.close()


def tracked(items: Iterable[T], doing: str, total: int) -> Iterator[T]:
    """Pass items on and show on stderr how many there were."""
    with progress(doing, total) as bar:
        for item in items:
            yield item
            bar.advance()


@contextmanager
def phases() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function to call with (phase, parts done, parts in all): one phase after another."""
    with ExitStack() as stack:
        open_bars: dict[str, Progress] = {}

        def tell(doing: str, done: int, total: int) -> None:
            if doing not in open_bars:
                stack.close()  # the phase before
                open_bars[doing] = stack.enter_context(progress(doing, total))
            open_bars[doing].reach(done, total=total)

        yield tell


class Lines(Progress):
    """A plain line at the start, every PERIOD seconds, and at the end."""

    def __init__(
        self, doing: str, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(total, done)
        self.doing, self.clock, self.before = doing, clock, done
        self.began = self.written = clock()
        self.last = f"{doing}: {done} of {total}"
        self.say(self.last)

    def show(self, note: str) -> None:
        now = self.clock()
        made, spent = self.done - self.before, now - self.began
        parts = [f"{self.doing}: {self.done} of {self.total}", *([note] if note else []),
                 duration(spent)]
        if made > 0 and self.done < self.total:
            parts.append(f"about {duration(spent / made * (self.total - self.done))} left")
        self.last = ", ".join(parts)
        if now - self.written >= PERIOD:
            self.written = now
            self.say(self.last)

    def close(self) -> None:
        # The last line once more would be noise where the phase was broken off.
        if self.done >= self.total:
            self.say(self.last)


class Bar(Progress):
    """rich's bar, with the parts done, a note and the time left."""

    def __init__(self, doing: str, total: int, done: int = 0) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        super().__init__(total, done)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                   TextColumn("{task.fields[note]}"), TimeRemainingColumn())
        self.bars = Bars(*columns, console=Console(stderr=True))
        self.task = self.bars.add_task(escape(doing), total=total, completed=done, note="")
        self.bars.start()

    def show(self, note: str) -> None:
        self.bars.update(self.task, completed=self.done, total=self.total, note=note)

    def say(self, text: str) -> None:
        self.bars.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self.bars.stop()


def duration(seconds: float) -> str:
    """Format a time in the largest unit that leaves two digits: 4.2 s, 35 s, 12 min, 3.5 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
