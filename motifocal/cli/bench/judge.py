"""`motifocal bench judge`: does a video do what its prompt says, asked of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.benchmark import opened_results
from motifocal.cli.options.declare import FILE, FOLDER, output_option
from motifocal.cli.options.judge import judge_of, judge_options
from motifocal.cli.output.console import print_table
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import phases, quiet_option

if TYPE_CHECKING:
    from motifocal.bench.judge.pairwise import Pairwise
    from motifocal.bench.judge.run import Judged


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal bench judge results/bundled --judge Qwen/Qwen2.5-VL-7B-Instruct --precision bfloat16
  motifocal bench judge results/* --judge http://127.0.0.1:8000/v1 --model Qwen2.5-VL -o judged
  motifocal bench judge results/a results/b --command 'python reward.py {frames} {prompt} {output}'
""")
@click.argument("results", nargs=-1, required=True, type=FOLDER)
@click.option("--judge", metavar="JUDGE", help="A vision-language model (a folder or a hub id), or "
              "the address of an OpenAI-compatible server, up to /v1; of `transformers serve`, up "
              "to /v1/systemone. An API key is read from MOTIFOCAL_API_KEY.")
@judge_options
@output_option("Folder of the table and the answers. What was answered is kept there: run again "
               "to resume, and take another folder after a change in a program or behind an "
               "address.",
               required=False, default=Path("judged"), show_default=True)
@click.option("--questions", type=FILE, metavar="FILE", help="A table of questions: image_id, "
              "prompt, question, expected.  [default: made by rule]")
@click.option("--template", metavar="TEXT", help="What is said around a question: {question}, and "
              "perhaps {count} and {prompt}.")
@click.option("--pairwise", is_flag=True, help="Compare the first model's videos with those of "
              "each other, too: both at once, in both orders.")
@click.option("--control", metavar="MODEL", help="The model whose videos the control rows are "
              "made from.  [default: the first]")
@click.option("--common", is_flag=True, help="Judge the pairs that all models have, marked so.")
@click.option("--allow-missing", is_flag=True,
              help="Judge what there is; every output then says INCOMPLETE.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the control rows: how frames are shuffled and prompts swapped.")
@quiet_option
def judge(results: tuple[Path, ...], judge: str | None, output: Path, questions: Path | None,
          template: str | None, pairwise: bool, control: str | None, common: bool,
          allow_missing: bool, seed: int, count: int, **options: Any) -> None:
    # fmt: on
    """Ask a judge yes-or-no questions about the videos in the folders RESULTS.

    The table also has control rows: a still image, frames shuffled and reversed, another prompt's
    video, an empty and an opposite prompt. It says so if a judge cannot tell them apart. Failures
    are counted by kind and are never an answer. `motifocal bench calibrate` measures how reliable a
    judge is; docs/judges.md explains both.
    """
    from motifocal.bench.judge.judge import TEMPLATE, check_template
    from motifocal.bench.judge.pairwise import check_comparable, compare_videos
    from motifocal.bench.judge.question_table import read_questions
    from motifocal.bench.judge.report import write_files
    from motifocal.bench.judge.run import judge_videos

    if common and allow_missing:
        raise click.UsageError("--common and --allow-missing exclude each other")
    if pairwise and (len(results) < 2 or options["command"]):
        raise click.UsageError("--pairwise needs two models and no --command")
    check_template(template or TEMPLATE)
    opened = opened_results(results, control)
    pairs = list({pair.stem: pair for result in opened for pair in result.benchmark.pairs}.values())
    asked = None if questions is None else read_questions(questions, pairs)
    if pairwise:
        check_comparable(opened)
    chosen = judge_of(judge, options)
    lock_output(output)
    with phases() as show_progress:
        judged = judge_videos(opened, output, chosen, questions=asked, control=control,
                              common=common, allow_missing=allow_missing, count=count,
                              template=template or TEMPLATE, seed=seed, progress=show_progress)
        compared: list[Pairwise] = []
        if pairwise:
            write_files(judged, output)  # kept, should the comparison end with an error
            compared = compare_videos(opened, output, chosen, count=count, progress=show_progress)
    written = write_files(judged, output, compared)
    _print(judged, compared)
    for path in written:
        click.echo(path)


def _print(judged: Judged, compared: Sequence[Pairwise]) -> None:
    """Print the marks, the verdict, the tables, and how many questions failed and why."""
    from motifocal.bench.judge.report import HEAD, PAIRWISE_HEAD, pairwise_cells, row_cells
    from motifocal.bench.judge.summary import summarise, verdict

    rows = summarise(judged)
    for mark in judged.marks:
        click.echo(mark)
    print_table(judged.title, HEAD, [row_cells(row) for row in rows], width=140)
    if compared:
        print_table("two videos at a time", PAIRWISE_HEAD, [pairwise_cells(item) for item in
                                                            compared], width=120)
    for row in rows:
        for kind, number in sorted(row.failures.items()):
            click.echo(f"failed: {number} of {row.name}: {kind}", err=True)
    click.echo(verdict(judged, rows))
