"""Lock a command's output folder until the command ends."""

from __future__ import annotations

from pathlib import Path

import click

from motifocal.files.output_lock import output_lock


def lock_output(folder: Path, part: str | None = None) -> None:
    """Lock `folder` for the running command; FolderInUse where another one holds it.

    To be called once the options are checked. `part`: see `output_lock`.
    """
    context = click.get_current_context()
    context.with_resource(output_lock(folder, context.command_path, part))
