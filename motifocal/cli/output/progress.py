"""Show on stderr what a long command does: a line as each phase begins, and its progress.

A terminal shows a bar. Anywhere else, such as in a log file, a plain line is written at the start
of a phase, at its end, and every ten seconds between them. `--quiet` leaves all of it out.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, TypeVar

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
                        help="Say nothing of progress; results, warnings and errors stay.")(command)


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


@contextmanager
def phase(doing: str) -> Iterator[None]:
    """Say that a phase without countable parts begins, and at its end how long it took."""
    began = time.monotonic()
    announce(f"{doing} ...")
    yield
    announce(f"{doing}: {duration(time.monotonic() - began)}")


class Display(Protocol):
    """Where progress is shown."""

    def show(self, done: int, total: int, note: str) -> None:
        """Show that `done` of `total` parts are done; `note` may be empty."""

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def close(self, complete: bool) -> None:
        """End the phase, all of it done or not."""


class Progress:
    """How many parts of a phase are done."""

    def __init__(self, total: int, display: Display, done: int = 0) -> None:
        self.done, self.total, self.display = done, total, display

    def reach(self, done: int, note: str = "", total: int | None = None) -> None:
        """Show that `done` parts are done by now; `total` where it turns out to be another."""
        self.done, self.total = done, self.total if total is None else total
        self.display.show(done, self.total, note)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Show that `count` more parts are done."""
        self.reach(self.done + count, note)

    def say(self, text: str) -> None:
        """Print a line on stderr that stays, bar or no bar, --quiet or not."""
        self.display.say(text)

    def announce(self, text: str) -> None:
        """Print a line on stderr that stays, unless --quiet was given."""
        if not is_quiet():
            self.display.say(text)


@contextmanager
def progress(doing: str, total: int, done: int = 0) -> Iterator[Progress]:
    """Show on stderr, inside, how many of `total` parts are done; `done` were before."""
    display: Display
    if is_quiet() or total == 0:
        display = Nothing()
    elif sys.stderr.isatty():
        display = Bar(doing, total, done)
    else:
        display = Lines(doing, total, done)
    shown = Progress(total, display, done)
    try:
        yield shown
    finally:
        display.close(shown.done >= shown.total)


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


class Nothing:
    """Shows no progress, only the lines that stay."""

    def show(self, done: int, total: int, note: str) -> None:
        pass

    def say(self, text: str) -> None:
        click.echo(text, err=True)

    def close(self, complete: bool) -> None:
        pass


class Lines(Nothing):
    """A plain line at the start, every PERIOD seconds, and at the end."""

    def __init__(
        self, doing: str, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.doing, self.clock, self.before = doing, clock, done
        self.began = self.written = clock()
        self.last = f"{doing}: {done} of {total}"
        click.echo(self.last, err=True)

    def show(self, done: int, total: int, note: str) -> None:
        now = self.clock()
        made, spent = done - self.before, now - self.began
        parts = [f"{self.doing}: {done} of {total}", *([note] if note else []), duration(spent)]
        if made > 0 and done < total:
            parts.append(f"about {duration(spent / made * (total - done))} left")
        self.last = ", ".join(parts)
        if now - self.written >= PERIOD:
            self.written = now
            click.echo(self.last, err=True)

    def close(self, complete: bool) -> None:
        # The last line once more would be noise where the phase was broken off.
        if complete:
            click.echo(self.last, err=True)


class Bar:
    """rich's bar, with the parts done, a note and the time left."""

    def __init__(self, doing: str, total: int, done: int = 0) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                   TextColumn("{task.fields[note]}"), TimeRemainingColumn())
        self.bars = Bars(*columns, console=Console(stderr=True))
        self.task = self.bars.add_task(escape(doing), total=total, completed=done, note="")
        self.bars.start()

    def show(self, done: int, total: int, note: str) -> None:
        self.bars.update(self.task, completed=done, total=total, note=note)

    def say(self, text: str) -> None:
        self.bars.console.print(text, markup=False, highlight=False)

    def close(self, complete: bool) -> None:
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
