"""Option for what a network is told of the motion besides the prompt: --prior score,mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
#: How much a clip moves, one number; and where it may move, an image.
PRIORS = ("score", "mask")


class Priors(click.ParamType):
    """Names of PRIORS with commas between them; gives a tuple of them."""

    name = "priors"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is none, and what is named twice."""
        names = tuple(value.split(",") if isinstance(value, str) else value)
        if not set(names) <= set(PRIORS) or len(set(names)) < len(names):
            self.fail(f"should be {' or '.join(PRIORS)} or both, with a comma, got {value}", param,
                      ctx)
        return names


def prior_option(text: str) -> Callable[[F], F]:
    """--prior as the argument `prior`, a tuple of names."""
    return click.option("--prior", type=Priors(), default=(), metavar="score,mask", help=text)
