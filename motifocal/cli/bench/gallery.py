"""`motifocal bench gallery`: write a page that shows models' videos side by side."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from motifocal.cli.options.declare import FOLDER, output_option


@click.command(epilog="""\b
Examples:
  motifocal bench gallery results/bundled results/other -o gallery
  motifocal bench gallery results/* -o docs/gallery --copy --title "Ours and theirs"
""")
@click.argument("results", nargs=-1, required=True, type=FOLDER)
@output_option("The folder of the page; an older gallery there is brought up to date.")
@click.option("--title", help="What stands above the page.  [default: the benchmark's name]")
@click.option("--link/--copy", default=True, show_default=True,
              help="Hard links to the videos where the file system has them, or always copies.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N",
              help="Only the first N pairs; the page says so.")
def gallery(
    results: tuple[Path, ...], output: Path, title: str | None, link: bool, limit: int | None
) -> None:
    """Write a page that plays the videos of the folders RESULTS side by side, synchronised.

    The folder has all that the page needs: open its index.html from the disk, or put the folder on
    any static host, such as GitHub Pages. A missing video is marked as missing. Other files in the
    folder are not changed.
    """
    from motifocal.bench.gallery.page import NOT_IN_RUN, compare_results, write_gallery
    from motifocal.bench.results import open_results
    from motifocal.cli.output.progress import tracked

    page = compare_results([open_results(folder) for folder in results], title=title, limit=limit)
    for mark in page.marks:
        click.echo(mark, err=True)
    count = len(page.pairs) * len(page.seeds) * len(page.models)
    tiles = list(tracked(write_gallery(page, output, link=link), "placing videos", count))
    for name in page.models:
        expected = [tile for tile in tiles
                    if tile.model == name and tile.missing_reason != NOT_IN_RUN]
        reasons = Counter(tile.missing_reason for tile in expected if tile.missing_reason)
        for word, number in sorted(reasons.items()):
            click.echo(f"{name}: {number} of {len(expected)} videos: {word}", err=True)
    click.echo(output / "index.html")
