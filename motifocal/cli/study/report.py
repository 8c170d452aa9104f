"""`motifocal study report`: write tables, figures and the sentence for the paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from motifocal.cli.options.declare import FILE, FOLDER, output_option
from motifocal.cli.options.renamed import ChoiceOfNew
from motifocal.cli.output.console import print_table, table_console

if TYPE_CHECKING:
    from motifocal.study.report.report import Report

OVER = ("image", "scenario")
MOST_LINES = 60  # of one table in a terminal; the files have all


@click.command(epilog="""\b
Examples:
  motifocal study report study.db -o report
  motifocal study report votes.jsonl --protocol protocol.json -o report
  motifocal study report study.db --scores scores -o report
  motifocal study report study.db --judge judged/scores.json -o report
  motifocal study report postgresql://localhost/study --over scenario -o report
""")
@click.argument("source", metavar="SOURCE")
@output_option("Folder of the tables and figures.", required=False, default=Path("report"),
               show_default=True)
@click.option("--ours", metavar="NAME", help="The model that results are reported for.  [default: "
              "the one that all others were compared with]")
@click.option("--scores", type=FOLDER, metavar="DIR", help="A folder that motifocal bench score "
              "wrote: how well each automatic measure agrees with the votes.")
@click.option("--judge", "judges", type=FILE, metavar="FILE", multiple=True, help="The "
              "scores.json that motifocal bench judge wrote: how well the judge agrees with the "
              "votes. May be given several times.")
@click.option("--over", type=ChoiceOfNew(OVER, {"picture": "image"}), default="image",
              show_default=True,
              help="What another study would draw anew: intervals and tests are over these.")
@click.option("--protocol", type=FILE, metavar="FILE", help="For a file of votes: the study's "
              "rules, as export --protocol writes them. Without them nobody is excluded.")
@click.option("--votes", type=click.IntRange(min=1), help="For a file of votes without a protocol: "
              "how many a pair should have.  [default: as many as any pair has]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Of the resamples: the same votes and seed give the same bytes.")
@click.option("--resamples", type=click.IntRange(min=200), default=2000, show_default=True,
              help="Bootstrap resamples of each interval.")
@click.option("--no-figures", is_flag=True, help="Leave out the figures, which need matplotlib.")
def report(source: str, output: Path, ours: str | None, scores: Path | None,
           judges: tuple[Path, ...], over: str,
           protocol: Path | None, votes: int | None, seed: int, resamples: int,
           no_figures: bool) -> None:
    """Make the report of SOURCE: a study's file or PostgreSQL URL, or a JSONL of votes.

    Majority score and raw vote share of each comparison, the reasons of each side, tests, agreement
    and checks, with 95 % intervals over images. Votes of annotators who fail the rule for gold
    items, written down before the start, are left out and counted. docs/statistics.md says what is
    computed and why it can be believed.
    """
    from motifocal.study.report.files import write_files
    from motifocal.study.report.plots import check_matplotlib
    from motifocal.study.report.report import make_report
    from motifocal.study.report.source import read_source
    from motifocal.study.stats.intervals import Resampling
    from motifocal.study.stats.judge_votes import read_judge
    from motifocal.study.stats.metric_votes import read_scores

    if not no_figures:
        check_matplotlib()
    if "://" not in source and not Path(source).is_file():
        raise click.BadParameter(f"there is no file {source}", param_hint="SOURCE")
    result = make_report(
        read_source(source, protocol=protocol, votes_per_pair=votes), ours=ours,
        resampling=Resampling(seed=seed, resamples=resamples),
        cluster_by="scenario" if over == "scenario" else "image_id",
        measured=None if scores is None else read_scores(scores),
        judged=[read_judge(path) for path in judges],
    )
    written = write_files(result, output, figures=not no_figures)
    _print(result)
    for path in written:
        click.echo(path)


def _print(report: Report) -> None:
    """Print the marks, the tables that fit, and the sentence."""
    from rich.markup import escape

    from motifocal.study.report.tables import tables
    from motifocal.study.report.words import plain, sentence

    for mark in report.marks:
        click.echo(plain(mark), err=True)
    for table in tables(report):
        if len(table.rows) > MOST_LINES:
            click.echo(f"{table.title}: {len(table.rows)} lines, see the files", err=True)
            continue
        print_table(table.title, table.head, table.rows, width=140, caption="\n".join(table.notes))
    table_console(140).print(escape(sentence(report)))
