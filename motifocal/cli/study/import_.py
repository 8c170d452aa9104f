"""`motifocal study import`: import files of answers from a static page into the study."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motifocal.cli.options.declare import FILE

if TYPE_CHECKING:
    from motifocal.study.offline.import_votes import ImportResult

@click.command("import", epilog="""\b
Examples:
  motifocal study import study.db answers/*.json
  motifocal study import study.db answers-3-0b5f2c11.json --dry-run
""")
@click.argument("study", metavar="STUDY")
@click.argument("answers", nargs=-1, required=True, type=FILE)
@click.option("--dry-run", is_flag=True, help="Check the files and store nothing.")
def import_(study: str, answers: tuple[Path, ...], dry_run: bool) -> None:
    """Import the files ANSWERS, saved at the end of a static page, into STUDY.

    Every item gets at most the number of votes that the study needs; further ones are left out and
    counted as surplus. Importing a file twice changes nothing. Files that are damaged, or that
    belong to another study, are listed, and the others are imported.
    """
    from motifocal.study.offline.folder import AnswerImport, read_answers
    from motifocal.study.offline.import_votes import OfflineImport

    refused, total = 0, Counter["ImportResult"]()
    store = OfflineImport(study)
    with store:
        intake = AnswerImport(store)
        for path in answers:
            try:
                fates = intake.take(read_answers(path), dry_run=dry_run)
            except ValueError as error:
                refused += 1
                click.echo(f"refused {path}: {' '.join(str(error).split())}", err=True)
                continue
            total += fates
            click.echo(f"{path}: {_said(fates)}", err=True)
        progress, code = store.progress(), store.protocol.completion_code
    click.echo(f"{_said(total)}{' (dry run)' if dry_run else ''}; the study has {progress.done} "
               f"of {progress.wanted} votes")
    click.echo(f"completion code, for whoever has handed in their answers: {code}", err=True)
    if refused:
        click.echo(f"{refused} of {len(answers)} files were refused", err=True)
        sys.exit(1)


def _said(fates: Mapping[ImportResult, int]) -> str:
    words = [f"{fates['taken']} votes taken in"]
    if fates["known"]:
        words.append(f"{fates['known']} known already")
    if fates["surplus"]:
        words.append(f"{fates['surplus']} surplus left out")
    return ", ".join(words)
