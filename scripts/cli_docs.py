"""The `--help` texts of all commands become docs/cli.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from motifocal.cli import cli

PATH = Path(__file__).parents[1] / "docs" / "cli.md"
WIDTH = 88  # of the help texts, whatever terminal this runs in
INTRODUCTION = """# The command line

Every command, as `--help` prints it. Made by `make docs`; do not edit.
"""


def document() -> str:
    """The whole page."""
    contexts = list(walk(context_of(cli, "motifocal", None)))
    listed = "\n".join(f"- [`{c.command_path}`](#{anchor(c.command_path)})" for c in contexts)
    return "\n".join([INTRODUCTION, listed, "", *map(section, contexts)])


def walk(context: click.Context) -> Iterator[click.Context]:
    """The context of a command, then those of its subcommands, in the order of its help."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None, name
            yield from walk(context_of(command, name, context))


def context_of(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    """The context that click makes for a command, with a fixed width."""
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    return click.Context(command, parent=parent, info_name=name, **settings)


def section(context: click.Context) -> str:
    """A heading and the help text."""
    lines = context.get_help().splitlines()
    text = "\n".join(line.rstrip() for line in lines)
    return f"## {context.command_path}\n\n```\n{text}\n```\n"


def anchor(heading: str) -> str:
    """What a heading is called in a link."""
    return heading.replace(" ", "-")


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(document(), encoding="utf-8")
    print(PATH.relative_to(Path.cwd()) if PATH.is_relative_to(Path.cwd()) else PATH)
