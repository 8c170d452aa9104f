"""Whole processes that only import, or only print help, beside an interpreter that does nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from measure import RATIO_HEADER, machine, markdown, parser, ratio_rows, read, take_turns

ROOT = Path(__file__).parents[1]
NOTHING = "python -c pass"
PROCESSES = {
    NOTHING: ("-c", "pass"),
    'python -c "import click"': ("-c", "import click"),
    'python -c "import motifocal"': ("-c", "import motifocal"),
    "motifocal --help": ("-m", "motifocal", "--help"),
    "motifocal train --help": ("-m", "motifocal", "train", "--help"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    values = read(parser(__doc__, rounds=10), arguments)
    ways = {name: partial(run, command) for name, command in PROCESSES.items()}
    times = take_turns(ways, values.rounds)
    rows = ratio_rows(times, list(ways), NOTHING)
    print(machine(values.rounds), markdown(RATIO_HEADER, rows), sep="\n\n")


def run(command: Sequence[str]) -> None:
    """One process from start to end; its output is thrown away, its failure is not."""
    subprocess.run(
        [sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=60
    )


if __name__ == "__main__":
    main()
