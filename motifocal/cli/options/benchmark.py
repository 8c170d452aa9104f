"""Options that the commands of `motifocal bench` share, and how they read a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motifocal.cli.options.declare import FILE, LocalPath, together
from motifocal.cli.options.renamed import warn_of_old_name

if TYPE_CHECKING:
    from motifocal.bench.pairs import Benchmark
    from motifocal.bench.results import Results

#: Where benchmarks come from.
BENCHMARK = LocalPath(
    " TI2V-Bench is published at https://wang-sj16.github.io/motif/; `motifocal scenes export "
    "--kind benchmark` draws a small one.", exists=True, file_okay=False)  # fmt: skip
#: --bench, --pairs, --own-pairs, --subset, --limit, as `chosen` takes them.
bench_options = together(
    click.option("--bench", type=BENCHMARK, metavar="FOLDER", required=True,
                 help="The benchmark: a folder with pairs.csv (or .json, .jsonl) and images/."),
    click.option("--pairs", "table", metavar="FILE", type=FILE,
                 help="A table of pairs, instead of the folder's own."),
    click.option("--own-pairs", is_flag=True, help="Accept pairs that are not TI2V-Bench's 320."),
    click.option("--subset", metavar="PART", help="Only a part, which every output then states: "
                 "with-image (pairs whose image is available), scenarios:a,b or images:a,b."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N",
                 help="Only the first N pairs, which every output then states."),
)


def chosen(
    bench: Path, table: Path | None, own_pairs: bool, subset: str | None, limit: int | None
) -> Benchmark:
    """The benchmark, or the part of it that was asked for; says on stderr which."""
    from motifocal.bench.pairs import WITH_IMAGE, read_benchmark, subset_of

    if subset == "pictures":
        warn_of_old_name(f"--subset pictures is now {WITH_IMAGE}; the old name will go")
        subset = WITH_IMAGE
    benchmark = subset_of(read_benchmark(bench, table=table, own_pairs=own_pairs), subset, limit)
    click.echo(benchmark.mark or f"{benchmark.title}: all {benchmark.total} pairs", err=True)
    return benchmark


def opened_results(folders: Sequence[Path], control: str | None) -> list[Results]:
    """Open folders of results; BadParameter where none is of the model `control`, if one is named.
    """
    from motifocal.bench.results import open_results

    opened = [open_results(folder) for folder in folders]
    names = [result.model for result in opened]
    if control is not None and control not in names:
        raise click.BadParameter(f"should be one of {', '.join(names)}, got {control}",
                                 param_hint="--control")
    return opened


def parse_shard(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int]:
    """"2/4" -> (2, 4)."""
    index, slash, count = value.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise click.BadParameter(f"should be i/n with 1 <= i <= n, got {value}")
    return int(index), int(count)
