"""`motifocal bench check`: print what is wrong with folders of results; exit 1 if anything is."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import FOLDER, RATE, Size
from motifocal.cli.output.console import print_table
from motifocal.cli.output.progress import progress, quiet_option

if TYPE_CHECKING:
    from motifocal.bench.check import Problem
    from motifocal.bench.results import Results
    from motifocal.generate.model import Format


@click.command(epilog="""\b
Examples:
  motifocal bench check results/bundled
  motifocal bench check results/* --frames 16 --size 320x320 --fps 8
""")
@click.argument("results", nargs=-1, required=True, type=FOLDER)
@click.option("--frames", type=click.IntRange(min=1),
              help="How many each video should have.  [default: as its model, or most of them]")
@click.option("--size", type=Size(), metavar="HEIGHTxWIDTH", help="Likewise.")
@click.option("--fps", type=RATE, help="Likewise.")
@click.option("--least-likeness", type=click.FloatRange(-1, 1), default=0.25, show_default=True,
              help="How like its image frame 0 has to be, as a correlation of small images.")
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON, by folder.")
@quiet_option
def check(results: tuple[Path, ...], frames: int | None, size: tuple[int, int] | None,
          fps: float | None, least_likeness: float, as_json: bool) -> None:
    """Check every video of the folders RESULTS, and print what is wrong as a table.

    Every expected video has to exist, decode to its end, have the right number of frames, size and
    rate, and start with its own image. The exit code is 1 if anything is wrong.
    """
    from motifocal.bench.results import open_results

    report: dict[str, Any] = {}
    for folder in results:
        opened = open_results(folder)
        problems = _checked(opened, _expected(opened, frames, size, fps), least_likeness)
        if not as_json:
            _print(opened, problems)
        report[str(folder)] = {"model": opened.model, "videos": len(opened.expected()),
                               "problems": [asdict(problem) for problem in problems]}
    if as_json:
        click.echo(json.dumps(report, indent=1))
    sys.exit(1 if any(folder["problems"] for folder in report.values()) else 0)


def _expected(
    results: Results, frames: int | None, size: tuple[int, int] | None, fps: float | None
) -> Format | None:
    """Return the format asked for; its parts go together where the model does not say what it
    makes."""
    from dataclasses import replace

    from motifocal.generate.model import Format

    given = {"frames": frames, "height": size and size[0], "width": size and size[1], "fps": fps}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return None
    if results.format is not None:
        return replace(results.format, **given)  # type: ignore[arg-type]
    if len(given) < 4:
        raise click.UsageError("--frames, --size and --fps go together, as the folder does not "
                               "say what its model makes")
    return Format(**given)  # type: ignore[arg-type]


def _checked(results: Results, expected: Format | None, least_likeness: float) -> list[Problem]:
    from motifocal.bench.check import check as problems_of

    total = len(results.expected()) - len(results.missing())
    with progress(f"checking {results.model}", total) as bar:
        return problems_of(results, expected, least_likeness=least_likeness, on_progress=bar.reach)


def _print(results: Results, problems: list[Problem]) -> None:
    if results.benchmark.mark:
        click.echo(f"{results.model}: {results.benchmark.mark}")
    count = len(results.expected())
    if not problems:
        click.echo(f"{results.model}: all {count} videos are right")
        return
    words = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in {count} videos"
    print_table(f"{results.model}: {words}", ("file", "what is wrong"),
                ((problem.file, problem.what) for problem in problems), width=140, numbers=False)
