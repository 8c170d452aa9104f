"""`motifocal bench vbench`: lay out a folder of results so that VBench-I2V runs on it."""

from __future__ import annotations

from pathlib import Path

import click

from motifocal.cli.options.declare import FOLDER, output_option


@click.command(epilog="""\b
Examples:
  motifocal bench vbench results/mine -o vbench/mine
  motifocal bench vbench results/mine -o vbench/mine --copy --allow-missing
  sh vbench/mine/run_vbench.sh ~/VBench
""")
@click.argument("results", type=FOLDER)
@output_option("The folder for the view; run again to bring it up to date.")
@click.option("--copy", is_flag=True, help="Copy files instead of linking to them, for another "
              "machine or a file system without links.")
@click.option("--allow-missing", is_flag=True,
              help="Lay out the videos that are there; vbench.json lists the others and says "
              "INCOMPLETE.")
def vbench(results: Path, output: Path, copy: bool, allow_missing: bool) -> None:
    """Lay out the videos of RESULTS for VBench-I2V, each with the image that its model saw.

    The folder gets links to videos and images under the names that VBench's custom input asks
    for, a script that runs it for the dimensions that apply (all but camera motion), and
    vbench.json with the frame rates, on which its dynamic degree depends. VBench itself, its
    weights and a CUDA device are needed only to run the script.
    """
    from motifocal.bench.results import open_results
    from motifocal.bench.vbench import SCRIPT, STATEMENT, export_vbench

    opened = open_results(results)
    view = export_vbench(opened, output, link="copy" if copy else "symlink",
                         allow_missing=allow_missing)
    if opened.benchmark.mark:
        click.echo(opened.benchmark.mark, err=True)
    click.echo(f"{len(view.videos)} videos of {opened.model}, {view.state}", err=True)
    click.echo(output / STATEMENT)
    click.echo(output / SCRIPT)
