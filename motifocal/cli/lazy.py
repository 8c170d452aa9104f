"""A command group with fast help: each command's code is loaded when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

#: name -> (module in motifocal.cli, its click command, one line of help)
Table = Mapping[str, tuple[str, str, str]]


class LazyGroup(click.Group):
    """A group that knows its commands' names and help, and imports one only to run it."""

    def __init__(self, *args: Any, table: Table, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, name, _ = self.table[cmd_name]
        command = getattr(importlib.import_module(f"motifocal.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in self.table.items()])
