"""`motifocal study validate`: list inconsistencies in a file of votes."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from motifocal.cli.options.declare import FILE


@click.command(epilog="""\b
Example:
  motifocal study validate votes.jsonl
""")
@click.argument("votes", type=FILE)
def validate(votes: Path) -> None:
    """Say what is wrong with VOTES, a JSONL file as `motifocal study export` writes it.

    The exit code is 1 if anything is: malformed lines, unknown names, duplicate votes, negative
    times, annotator ids that are not hashed, several protocols in one file.
    """
    from motifocal.study.votes import read_votes
    from motifocal.study.votes import validate as problems_of

    cast_votes = read_votes(votes)
    problems = problems_of(cast_votes)
    for problem in problems:
        click.echo(problem)
    if problems:
        sys.exit(1)
    click.echo(f"{len(cast_votes)} votes, nothing wrong", err=True)
