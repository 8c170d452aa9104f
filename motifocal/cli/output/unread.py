"""The line on stderr that says which prompts a model truncates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from motifocal.models.text_limit import TextLimit


def note_unread(limit: TextLimit | None, prompts: Iterable[str]) -> None:
    """Say what of the prompts is not read; nothing where no limit is known."""
    from motifocal.models.text_limit import unread_notes

    for line in unread_notes(limit, prompts) if limit is not None else ():
        click.echo(f"note: {line}", err=True)
