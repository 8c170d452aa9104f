"""Options for many clips: workers, clusters, parts, and a table of results."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.benchmark import parse_shard
from motifocal.cli.options.declare import together

if TYPE_CHECKING:
    from motifocal.data.workers.items import Part, Workers
    from motifocal.inspection.table import Between

LOCAL = "local"
#: Of a GPU, for one worker: one that decodes leaves it to the others.
GPU_SHARE = 0.25


def _check_address(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no address, as --ray takes an argument that stands behind it for one."""
    known = value is None or value in (LOCAL, "auto") or ":" in value
    if not known:
        raise click.BadParameter(f"should be HOST:PORT, ray://HOST:PORT, auto or local, got {value}"
                                 "; without an address write --ray last")  # fmt: skip
    return value


#: Adds --ray and passes it on as `ray`.
ray_option = click.option(
    "--ray", metavar="[ADDRESS]", is_flag=False, flag_value=LOCAL, is_eager=True,
    callback=_check_address,
    help="Run on a Ray cluster: HOST:PORT, or auto for the one that this machine belongs to; "
    "without an address a cluster is started here. Its machines need the same files at the same "
    "paths, and the current folder.",
)  # fmt: skip

#: Adds --ray and --shard, as `workers_of` and `part_of` take them.
scale_options = together(
    ray_option,
    click.option("--shard", metavar="I/N", default="1/1", show_default=True, callback=parse_shard,
                 help="Process only part I of N, split by the clips' names; parts can run at the "
                 "same time into one folder, and the same command without --shard then merges "
                 "them."),
)


def part_of(shard: tuple[int, int]) -> Part:
    """Return the part that --shard names."""
    from motifocal.data.workers.items import Part

    return Part(*shard)


def workers_of(ray: str | None, count: int | None, local: Workers, gpus: float = 0) -> Workers:
    """Return the cluster that --ray names, or else the local workers.

    `count`: --workers, where it was given; a cluster then has at most so many.
    """
    if ray is None:
        return local
    from motifocal.data.workers.cluster import Cluster
    from motifocal.data.workers.ray_session import session
    from motifocal.extras import require

    require("ray", "ray", "--ray needs")
    # Until the command ends: what it writes at the end is there before Ray is left.
    click.get_current_context().with_resource(session())
    return Cluster(ray, workers=count, gpus=gpus)


#: Adds --table and passes it on as `table`: "jsonl", "parquet" or None.
table_option = click.option(
    "--table", type=click.Choice(["jsonl", "parquet"]),
    help="Also write a table with a row for each clip, with the reason for those that cannot be "
    "used; a Parquet file describes its columns.",
)  # fmt: skip

#: Adds --table and --errors.
table_options = together(
    table_option,
    click.option("--errors", type=click.Choice(["exit", "keep"]), default="exit", show_default=True,
                 help="keep: exit code 0 even if clips cannot be used; the table says which."),
)


class BetweenPercentiles(click.ParamType):
    """`own_mean:10-95` as a column with the percentiles between which its values are kept."""

    name = "between"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Between:
        from motifocal.inspection.table import Between

        match = re.fullmatch(r"(\w+):(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", str(value))
        if match is None:
            self.fail(f"should be like own_mean:10-95, got {value!r}", param, ctx)
        try:
            return Between(match[1], float(match[2]), float(match[3]))
        except ValueError as error:
            self.fail(str(error), param, ctx)


between_option = click.option(
    "--between", type=BetweenPercentiles(), multiple=True, metavar="COLUMN:LOW-HIGH",
    help="With --table: select the clips whose value of a column is between these percentiles of "
    "all clips, e.g. own_mean:10-95. May be given several times.",
)


def check_table(table: str | None) -> None:
    """Raise ValueError where a Parquet table is asked for and pyarrow is not installed."""
    from motifocal.extras import require

    if table == "parquet":
        require("pyarrow", "parquet", "--table parquet needs")
