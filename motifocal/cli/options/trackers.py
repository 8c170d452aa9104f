"""`--log-with`: where the curves of a training go."""

from __future__ import annotations

from typing import Any

import click

from motifocal.cli.output.progress import announce
from motifocal.extras import install_extra
from motifocal.training.trackers import TRACKERS, check_installed, is_installed


def _trackers(value: Any) -> tuple[str, ...]:
    """Parse names of trackers parted by commas, or "none": a tuple without repetitions."""
    names = value.split(",") if isinstance(value, str) else list(value)
    names = list(dict.fromkeys(name.strip() for name in names))
    if names in (["none"], []):
        return ()
    for name in names:
        if name not in TRACKERS:
            raise click.BadParameter(f"should be among {', '.join(TRACKERS)}, or none alone, got "
                                     f"{name!r}")
    return tuple(names)


def _installed(
    ctx: click.Context, param: click.Parameter, names: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    """Check that the trackers are there; not while they are parsed, which would lose the reason."""
    check_installed(names or ())
    return names


log_with_option = click.option(
    "--log-with", type=_trackers, metavar="NAME[,NAME...]", callback=_installed,
    help=f"Where to log the curves: {', '.join(TRACKERS)}, or none.  "
    "[default: tensorboard where it is installed]",
)  # fmt: skip


def chosen_trackers(given: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return where the curves go: what was given, or TensorBoard where it is installed."""
    if given is not None:
        return given
    if is_installed("tensorboard"):
        return ("tensorboard",)
    announce(f"no curves: TensorBoard is not installed; {install_extra('train')}")
    return ()
