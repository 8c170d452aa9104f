"""Keep the earlier names of options for one more release, with a warning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def old_option(
    old: str, new: str, parameter: str, values: Mapping[str, str] | None = None
) -> Callable[[F], F]:
    """Take `old` on the command line for `new`, whose parameter is called `parameter`.

    `values` are old values and what they are called now; others are passed on as they are.
    """

    def translate(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is None or ctx.resilient_parsing:
            return
        now = (values or {}).get(value, value)
        click.echo(f"warning: {old} {value} is now {new} {now}; the old name will go", err=True)
        ctx.default_map = {**(ctx.default_map or {}), parameter: now}

    # Eager, so that the value lies in the default map before the new option looks there.
    return click.option(old, f"old_{old.strip('-').replace('-', '_')}", hidden=True, is_eager=True,
                        expose_value=False, callback=translate, help=f"The old name of {new}.")


def warn_of_old_name(text: str) -> None:
    """Print that a name is an old one; DeprecationWarning is not shown on the command line."""
    click.echo(f"warning: {text}", err=True)


class ChoiceOfNew(click.Choice[str]):
    """A choice of which some values were once called otherwise; those are taken with a warning."""

    def __init__(self, choices: Sequence[str], before: Mapping[str, str]) -> None:
        super().__init__(choices)
        self.before = before

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        if value in self.before:
            option = param.opts[0] if param is not None else "the value"
            click.echo(f"warning: {option} {value} is now {self.before[value]}; the old name will "
                       "go", err=True)
            value = self.before[value]
        return super().convert(value, param, ctx)


def old_flag(old: str, new: str, parameter: str, value: Any) -> Callable[[F], F]:
    """Take the flag `old` for `new`, which sets `parameter` to `value`."""

    def translate(ctx: click.Context, param: click.Parameter, given: bool) -> None:
        if given and not ctx.resilient_parsing:
            click.echo(f"warning: {old} is now {new}; the old name will go", err=True)
            ctx.default_map = {**(ctx.default_map or {}), parameter: value}

    return click.option(old, f"old_{old.strip('-').replace('-', '_')}", is_flag=True, hidden=True,
                        is_eager=True, expose_value=False, callback=translate,
                        help=f"The old name of {new}.")
