"""`motifocal scenes compare`: compare the arms of an experiment by pair and seed."""

from __future__ import annotations

from pathlib import Path

import click

from motifocal.cli.options.declare import output_option


@click.command("compare", epilog="""
\b
Examples:
  motifocal scenes compare "lambda 0=plain/" "lambda 1=run/" -o compare
  motifocal scenes compare "lambda 0=a0/,a1/,a2/" "lambda 1=b0/,b1/,b2/" -o compare
  motifocal scenes compare "lambda 0=eval-a/" "lambda 1=eval-b/" -o compare --scenario bulbs
""")
@click.argument("arms", nargs=-1, required=True, metavar="NAME=PLACE,PLACE...")
@output_option("Folder of compare.md, compare.csv, curves.png.")
@click.option("--scenario", "scenarios", multiple=True, help="Only pairs of this scenario; "
              "repeatable.")
@click.option("--kind", "kinds", multiple=True, help="Only prompts of this kind; repeatable.")
def compare(arms: tuple[str, ...], output: Path, scenarios: tuple[str, ...],
            kinds: tuple[str, ...]) -> None:
    """Compare arms of an experiment pair by pair, seed by seed; the first is the baseline.

    A PLACE is a run with a learning curve (`train --probe-every`), a probe.csv or probe.csv.gz, the
    folder that `scenes probe` wrote, or a report of `scenes eval`: one for each seed, in the same
    order in every arm. Written are differences with 95 % intervals over seeds and images, the steps
    needed until 25, 50 and 75 % follow, and the curves as a picture.
    """
    from motifocal.cli.output.progress import progress
    from motifocal.files.atomic import write_text
    from motifocal.scenes.evaluation.arms import align, read_arm
    from motifocal.scenes.evaluation.comparison import compare as compare_arms
    from motifocal.scenes.evaluation.comparison import draw_curves, to_csv, to_markdown

    read = []
    with progress("reading arms", len(arms)) as bar:
        for arm in arms:
            name, equals, places = arm.rpartition("=")
            if not (name and equals and places):
                raise click.BadParameter(f"should be NAME=PLACE,PLACE..., got {arm!r}",
                                         param_hint="ARMS")
            read.append(read_arm(name, [Path(place) for place in places.split(",")]))
            bar.advance()
    comparison = compare_arms(align(read, scenarios, kinds))
    output.mkdir(parents=True, exist_ok=True)
    text = to_markdown(comparison)
    write_text(output / "compare.md", text)
    write_text(output / "compare.csv", to_csv(comparison))
    click.echo(text)
    files = ["compare.md", "compare.csv"]
    if len(comparison.aligned.steps) > 1:
        draw_curves(output / "curves.png", comparison)
        files.append("curves.png")
    for file in files:
        click.echo(output / file)
