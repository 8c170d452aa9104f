"""Option for what a network is told of the motion besides the prompt: --prior score,mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from motifocal.cli.options.declare import F

#: How much a clip moves, one number; and where it may move, an image.
PRIORS = ("score", "mask")


def priors(value: Any) -> tuple[str, ...]:
    """Parse names of PRIORS with commas between them, or a list of them, as a tuple."""
    names = tuple(value.split(",") if isinstance(value, str) else value)
    if not set(names) <= set(PRIORS) or len(set(names)) < len(names):
        raise click.BadParameter(f"should be {' or '.join(PRIORS)} or both, with a comma, got "
                                 f"{value}")
    return names


def prior_option(text: str) -> Callable[[F], F]:
    """--prior as the argument `prior`, a tuple of names."""
    return click.option("--prior", type=priors, default=(), metavar="score,mask", help=text)
