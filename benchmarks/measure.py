"""Two or more ways to do a thing become a table of ratios, measured side by side in one run.

A machine's speed wanders by more than the differences of interest, so the ways take turns
(A B A B ...) and are compared within each turn: what slows a turn slows all of it.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

BUSY = 0.3  # load a core from which on a warning is due

#: name of a way -> its seconds in every round
Times = dict[str, list[float]]


def take_turns(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Seconds of every way in every round; a first round goes unmeasured, to warm up.

    Raises ValueError for fewer than two rounds: they have no spread.
    """
    if rounds < 2:
        raise ValueError(f"rounds should be at least 2, got {rounds}")
    times: Times = {name: [] for name in ways}
    for index in range(rounds + 1):
        print(f"\rround {index} of {rounds}", end="", file=sys.stderr, flush=True)
        with no_garbage_collection():
            for name, way in ways.items():
                began = clock()
                way()
                took = clock() - began
                if index:
                    times[name].append(took)
    print(file=sys.stderr)
    return times


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect before, not inside: no way should pay for what another has left behind."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def ratio(times: Times, name: str, to: str) -> tuple[float, float, float]:
    """How many times as long `name` takes as `to`: median, lower and upper quartile of rounds."""
    ratios = [a / b for a, b in zip(times[name], times[to], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return middle, low, high


def ratio_rows(times: Times, names: Sequence[str], to: str) -> list[list[str]]:
    """One row a name: the ratio to the way `to`, the ratio's middle half, the median time."""
    rows = []
    for name in names:
        middle, low, high = ratio(times, name, to)
        spread = "" if name == to else f"{low:.3f} to {high:.3f}"
        rows.append([name, f"{middle:.3f}", spread, duration(statistics.median(times[name]))])
    return rows


#: of the columns that `ratio_rows` gives
RATIO_HEADER = ("", "ratio", "middle half", "median time")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column is left-aligned, numbers are right-aligned."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def duration(seconds: float) -> str:
    """Seconds in the unit that keeps the number readable."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def machine(rounds: int) -> str:
    """What was measured on, in one line."""
    cores = usable_cores()
    parts = [
        processor(),
        f"{cores} core{'s' if cores > 1 else ''}",
        f"Python {platform.python_version()}",
        f"torch {version('torch')}",
        f"{datetime.now(timezone.utc):%Y-%m-%d}",
    ]
    return f"{', '.join(parts)}; {rounds} rounds."


def processor() -> str:
    """The model name of the processor, or what the platform calls it where that is not told."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parser(script_doc: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """The options that every benchmark has; `rounds` is the default number of them."""
    options = argparse.ArgumentParser(
        description=script_doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=rounds, help="default: %(default)s")
    options.add_argument("--quick", action="store_true", help="a smoke run: figures mean nothing")
    return options


def read(options: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options' values; a quick run has two rounds. Tells on stderr when the machine is busy."""
    values = options.parse_args(arguments)
    if values.quick:
        values.rounds = 2
    elif hasattr(os, "getloadavg") and os.getloadavg()[0] > BUSY * usable_cores():
        load = f"load {os.getloadavg()[0]:.1f} on {usable_cores()} cores"
        print(f"other programs are running ({load}): expect wide spreads", file=sys.stderr)
    return values
