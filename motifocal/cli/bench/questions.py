"""`motifocal bench questions`: yes-or-no questions of every pair of a benchmark, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from motifocal.cli.options.benchmark import bench_options, chosen
from motifocal.cli.options.declare import FILE, NEW_FILE


@click.command(epilog="""\b
Examples:
  motifocal bench questions --bench TI2V-Bench -o questions.csv
  motifocal bench questions --bench mine --own-pairs -o questions.csv
  motifocal bench questions --bench TI2V-Bench --check questions.csv
""")
@bench_options
@click.option("-o", "--output", type=NEW_FILE, help="The table to write, to read over and edit.  "
              "[default: print it]")
@click.option("--check", type=FILE, metavar="FILE", help="Only check a table of questions: does it "
              "fit the benchmark?")
def questions(output: Path | None, check: Path | None, **options: Any) -> None:
    """Make one to three yes-or-no questions of every pair, with the expected answer.

    Is the named thing there, does the video show what the prompt says, does anything else move:
    by rules from the prompt, so the table is the same everywhere. OmitI2V's own questions are
    taken as they are. `bench judge --questions` reads the table, edited or not.
    """
    from motifocal.bench.judge.question_table import (
        questions_csv,
        questions_of_benchmark,
        read_questions,
    )
    from motifocal.files.atomic import write_text

    if output is not None and check is not None:
        raise click.UsageError("--output and --check exclude each other")
    benchmark = chosen(**options)
    if check is not None:
        read = read_questions(check, benchmark.pairs)
        click.echo(f"{sum(map(len, read.values()))} questions of {len(read)} pairs: {check} fits")
        return
    asked = questions_of_benchmark(options["bench"], benchmark.pairs)
    text = questions_csv(benchmark.pairs, asked)
    if output is None:
        click.echo(text, nl=False)
        return
    write_text(output, text)
    number = sum(map(len, asked.values()))
    click.echo(f"{number} questions of {len(benchmark.pairs)} pairs", err=True)
    click.echo(output)
