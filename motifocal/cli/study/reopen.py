"""`motifocal study reopen`: let others replace the votes of annotators who fail gold items."""

from __future__ import annotations

import click


@click.command(epilog="""\b
Examples:
  motifocal study reopen study.db --dry-run
  motifocal study reopen study.db
""")
@click.argument("study", metavar="STUDY")
@click.option("--dry-run", is_flag=True, help="Say how many, and change nothing.")
def reopen(study: str, dry_run: bool) -> None:
    """Ask others for the votes of those who fail the gold items of STUDY.

    The report leaves those votes out, and says INCOMPLETE. This requests each of them once more,
    from somebody else, with the same model on the left; the excluded votes stay in the study. Then
    continue to serve the study, or import further files of answers. No vote is requested twice.
    """
    from motifocal.study.store.store import Store

    with Store(study) as store:
        failed = len(store.failed_gold())
        votes = store.votes_to_replace() if dry_run else store.reopen_failed()
        progress = store.progress()
    click.echo(f"{failed} annotators fail the gold items; {votes} of their votes "
               f"{'would be' if dry_run else 'are'} asked of others; the study has {progress.done} "
               f"of {progress.wanted} votes")
