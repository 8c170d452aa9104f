"""A command line of ours becomes the values that its command would be called with."""

from __future__ import annotations

import click

from motifocal.cli import cli


def parsed(*words: str) -> click.Context:
    """The context of the words after `motifocal`: names and values are checked, nothing is run.

    Raises ClickException for what the command line refuses.
    """
    context = cli.make_context("motifocal", list(words))
    command: click.Command = cli
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        context, command = found.make_context(name, rest, parent=context), found
    return context
