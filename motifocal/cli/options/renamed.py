"""Keep the earlier names of options for one more release, with a warning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from motifocal.cli.options.declare import F


def warn_of_old_name(text: str) -> None:
    """Print that a name is an old one; DeprecationWarning is not shown on the command line."""
    click.echo(f"warning: {text}", err=True)


def old_option(
    old: str, new: str, parameter: str, flag_value: str | bool | None = None
) -> Callable[[F], F]:
    """Take `old` on the command line for `new`, whose parameter is called `parameter`.

    With `flag_value` the old one is a flag, and stands for this value of the new one.
    """
    is_flag = flag_value is not None

    def translate(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value is None or value is False or ctx.resilient_parsing:
            return
        words = f"{old} is now {new}" if is_flag else f"{old} {value} is now {new} {value}"
        warn_of_old_name(f"{words}; the old name will go")
        now = flag_value if is_flag else value
        ctx.default_map = {**(ctx.default_map or {}), parameter: now}

    # Eager, so that the value lies in the default map before the new option looks there.
    return click.option(old, f"old_{old.strip('-').replace('-', '_')}", is_flag=is_flag,
                        hidden=True, is_eager=True, expose_value=False, callback=translate,
                        help=f"The old name of {new}.")


class ChoiceOfNew(click.Choice[str]):
    """A choice of which some values were once called otherwise; those are taken with a warning."""

    def __init__(self, choices: Sequence[str], before: Mapping[str, str]) -> None:
        super().__init__(choices)
        self.before = before

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in self.before:
            option = param.opts[0] if param is not None else "the value"
            warn_of_old_name(f"{option} {value} is now {self.before[value]}; the old name will go")
            value = self.before[value]
        return super().convert(value, param, ctx)
