"""`--log-with`: where the curves of a training go."""

from __future__ import annotations

from typing import Any

import click

from motifocal.training.trackers import TRACKERS, check_installed


class Trackers(click.ParamType):
    """Names of trackers parted by commas, or "none"; a tuple without repetitions."""

    name = "trackers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        names = value.split(",") if isinstance(value, str) else list(value)
        names = list(dict.fromkeys(name.strip() for name in names))
        if names in (["none"], []):
            return ()
        for name in names:
            if name not in TRACKERS:
                self.fail(f"should be among {', '.join(TRACKERS)}, or none alone, got {name!r}",
                          param, ctx)
        check_installed(names)
        return tuple(names)


log_with_option = click.option(
    "--log-with", type=Trackers(), metavar="NAME[,NAME...]",
    help=f"Where the curves go: {', '.join(TRACKERS)}, or none.  "
    "[default: tensorboard where it is installed]",
)  # fmt: skip
