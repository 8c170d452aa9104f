"""`motifocal bench ingest`: finished videos of any model become a folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from motifocal.commands.bench_options import FOLDER, NEW_FOLDER, bench_options, chosen


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal bench ingest outputs/cinemo --bench TI2V-Bench --model Cinemo -o results/cinemo
  motifocal bench ingest outputs/ours --bench TI2V-Bench --model Ours -o results/ours --partial
  motifocal bench ingest gifs/ --bench mine --own-pairs --model Other -o results/other
""")
@click.argument("videos", type=FOLDER)
@bench_options
@click.option("--model", "name", required=True, metavar="NAME",
              help="What the model is called in tables.")
@click.option("-o", "--output", type=NEW_FOLDER, required=True,
              help="The folder of results; run again to add what was missing.")
@click.option("--partial", is_flag=True, help="Expect only the pairs of which there are videos; "
              "every output then says which part it is of.")
@click.option("--fit", type=click.Choice(["crop", "stretch"]), default="crop", show_default=True,
              help="How the model brought the picture to its videos' size.")
@click.option("--skip-unknown", is_flag=True, help="Leave out videos that belong to no pair.")
def ingest(videos: Path, name: str, output: Path, partial: bool, fit: str, skip_unknown: bool,
           **options: Any) -> None:
    # fmt: on
    """Take in the finished videos in the folder VIDEOS, named <image id>_<sentence>_<seed>.mp4.

    The sentence is written as in TI2V-Bench: lower case, _ for spaces, no punctuation. Names are
    matched against the pairs, so ids may hold _. Videos are copied byte for byte; GIFs and other
    containers are encoded as .mp4.
    """
    from motifocal.bench.ingest import FITS, find_videos, with_videos
    from motifocal.bench.ingest import ingest as take_in
    from motifocal.bench.results import Results
    from motifocal.commands.scenes_eval import tracked

    benchmark = chosen(**options)
    found = find_videos(videos, benchmark.pairs)
    if found.strange and not skip_unknown:
        names = ", ".join(found.strange[:3]) + (", ..." if len(found.strange) > 3 else "")
        raise ValueError(f"{len(found.strange)} videos in {videos} belong to no pair: {names}; "
                         "--skip-unknown leaves them out")
    if partial:
        benchmark = with_videos(benchmark, found)
        click.echo(benchmark.mark or f"a video of every pair of {benchmark.title}", err=True)
    settings = {"ingested": True, "fit": fit}
    results = Results(output, name, settings, benchmark, found.seeds() or (0,), None)
    wanted = results.wanted()
    count = sum(1 for _ in tracked(take_in(results, found, FITS[fit]), "taking in", len(wanted)))
    missing = results.missing()
    if missing:
        click.echo(f"{len(missing)} of {len(wanted)} videos are missing, the first: "
                   f"{missing[0].path.name}", err=True)
    click.echo(f"{count} videos of {name}", err=True)
    click.echo(output)
