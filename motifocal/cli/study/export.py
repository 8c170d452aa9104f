"""`motifocal study export`: write the votes of a study as open JSONL."""

from __future__ import annotations

from pathlib import Path

import click

from motifocal.cli.options.declare import NEW_FILE


@click.command(epilog="""\b
Examples:
  motifocal study export study.db -o votes.jsonl
  motifocal study export study.db -o votes.jsonl --protocol protocol.json
  motifocal study export postgresql://localhost/study -o votes.jsonl
""")
@click.argument("study", metavar="STUDY")
@click.option("-o", "--output", type=NEW_FILE, required=True, metavar="FILE",
              help="The file to write, one line of JSON a vote.")
@click.option("--protocol", type=NEW_FILE, metavar="FILE",
              help="Also write the study's rules and wording, whose hash is in every vote.")
def export(study: str, output: Path, protocol: Path | None) -> None:
    """Write the votes of STUDY, a file or a PostgreSQL URL, for others to read.

    Gold votes are there and marked, also those of annotators who fail them. Workers are salted
    hashes; the salt and the numbers that recruitment services gave stay in the database.
    """
    from motifocal.files.atomic import write_text
    from motifocal.study.store.store import Store
    from motifocal.study.votes import write_votes

    with Store(study) as store:
        write_votes(output, store.votes())
        if protocol is not None:
            write_text(protocol, store.protocol.to_json() + "\n")
    for path in (output, protocol):
        if path is not None:
            click.echo(path)
