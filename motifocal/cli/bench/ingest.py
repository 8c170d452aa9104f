"""`motifocal bench ingest`: copy finished videos of any model into a folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.benchmark import bench_options, chosen
from motifocal.cli.options.declare import FOLDER, output_option
from motifocal.cli.options.renamed import old_option
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import quiet_option, tracked

if TYPE_CHECKING:
    from motifocal.bench.ingest import MatchedVideos
    from motifocal.bench.pairs import Benchmark


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal bench ingest outputs/cinemo --bench TI2V-Bench --name Cinemo -o results/cinemo
  motifocal bench ingest outputs/ours --bench TI2V-Bench --name Ours -o results/ours --partial
  motifocal bench ingest gifs/ --bench mine --own-pairs --name Other -o results/other
""")
@click.argument("videos", type=FOLDER)
@bench_options
@click.option("--name", required=True, help="The model's name in tables.")
@old_option("--model", "--name", "name")
@output_option("The folder of results; run again to add what was missing.")
@click.option("--partial", is_flag=True, help="Expect only the pairs of which there are videos; "
              "every output then says which part it is of.")
@click.option("--fit", type=click.Choice(["crop", "stretch"]), default="crop", show_default=True,
              help="How the model brought the image to its videos' size.")
@click.option("--skip-unknown", is_flag=True, help="Leave out videos that belong to no pair.")
@quiet_option
def ingest(videos: Path, name: str, output: Path, partial: bool, fit: str, skip_unknown: bool,
           **options: Any) -> None:
    # fmt: on
    """Import the finished videos in the folder VIDEOS, named <image id>_<prompt>_<seed>.mp4.

    The prompt is written as in TI2V-Bench: lower case, _ for spaces, no punctuation. Names are
    matched against the pairs, so ids may hold _. Videos are copied byte for byte; GIFs and other
    containers are encoded as .mp4. Videos that cannot be read are listed, and the exit code is 1;
    the others are imported.
    """
    from motifocal.bench.ingest import FITS, find_videos, with_videos
    from motifocal.bench.ingest import ingest as ingest_videos
    from motifocal.bench.results import Results

    benchmark = chosen(**options)
    matched = find_videos(videos, benchmark.pairs)
    if matched.unmatched and not skip_unknown:
        names = ", ".join(matched.unmatched[:3]) + (", ..." if len(matched.unmatched) > 3 else "")
        raise ValueError(f"{len(matched.unmatched)} videos in {videos} belong to no pair: {names}; "
                         "--skip-unknown leaves them out")
    if partial:
        benchmark = with_videos(benchmark, matched)
        click.echo(benchmark.mark or f"a video of every pair of {benchmark.title}", err=True)
    else:
        _say_what_is_missing(benchmark, matched)
    lock_output(output)
    settings = {"ingested": True, "fit": fit}
    results = Results(output, name, settings, benchmark, matched.seeds() or (0,), None)
    expected = results.expected()
    ingested = list(tracked(ingest_videos(results, matched, FITS[fit]), "taking in", len(expected)))
    bad = [(matched.videos[video.pair.stem, video.seed], reason)
           for video, reason in ingested if reason]
    click.echo(f"{len(ingested) - len(bad)} of {len(expected)} videos of {name}", err=True)
    click.echo(output)
    for path, reason in bad:
        click.echo(f"left out: {path}: {reason}", err=True)
    if bad:
        raise click.ClickException(f"{len(bad)} videos could not be taken in; mend or remove them "
                                   "and run this again")  # fmt: skip


def _say_what_is_missing(benchmark: Benchmark, matched: MatchedVideos) -> None:
    """Say, before anything is copied, that not every pair and seed has a video."""
    seeds = matched.seeds() or (0,)
    lacking = [pair.file(seed) for pair in benchmark.pairs for seed in seeds
               if (pair.stem, seed) not in matched.videos]
    if lacking:
        of = len(benchmark.pairs) * len(seeds)
        click.echo(f"note: {len(lacking)} of {of} videos are missing, the first: {lacking[0]}. "
                   "Add them and run this again; or, if there will be no more, use --partial with "
                   "a new folder", err=True)
