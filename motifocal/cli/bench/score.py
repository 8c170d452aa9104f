"""`motifocal bench score`: score folders of results beside control rows, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motifocal.cli.options.benchmark import opened_results
from motifocal.cli.options.declare import FOLDER, NEW_FOLDER
from motifocal.cli.options.device import chosen_device, device_option
from motifocal.cli.options.scale import GPU_SHARE, ray_option, workers_of
from motifocal.cli.output.console import print_table
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import announce, phases, quiet_option
from motifocal.cli.output.unread import note_unread

if TYPE_CHECKING:
    from motifocal.bench.score.clip import Learned
    from motifocal.bench.score.tables import Summary


@click.command(epilog="""\b
Examples:
  motifocal bench score results/bundled -o scores
  motifocal bench score results/ours results/theirs -o scores --common
  motifocal bench score results/* --clip openai/clip-vit-base-patch32 --dino dino-vitb16/
""")
@click.argument("results", nargs=-1, required=True, type=FOLDER)
@click.option("-o", "--output", type=NEW_FOLDER, default=Path("scores"), show_default=True,
              help="Folder of the tables. What was computed is kept there; run again to resume.")
@click.option("--common", is_flag=True,
              help="Score the pairs that all models have, which every output then states.")
@click.option("--allow-missing", is_flag=True,
              help="Score what there is; every output then says INCOMPLETE.")
@click.option("--control", metavar="MODEL", help="The model whose videos the control rows are "
              "made from.  [default: the first]")
@click.option("--clip", metavar="MODEL", help="Image and text alignment with this CLIP: a folder "
              "or a hub id, safetensors only.")
@click.option("--dino", metavar="MODEL", help="Subject and image consistency with this ViT, "
              "DINO or DINOv2, likewise.")
@device_option("Where --clip and --dino compute")
@click.option("--workers", type=click.IntRange(min=1),
              help="Videos at a time.  [default: one for each core]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the control rows: how frames are shuffled and prompts swapped.")
@click.option("--no-plot", is_flag=True, help="Do not write plot.png, which needs matplotlib.")
@ray_option
@quiet_option
def score(results: tuple[Path, ...], output: Path, common: bool, allow_missing: bool,
          control: str | None, clip: str | None, dino: str | None, device: str,
          workers: int | None, seed: int, no_plot: bool, ray: str | None) -> None:
    """Measure the videos in the folders RESULTS, one of each model, beside control rows.

    The control rows are a still image, the frames shuffled, and the videos of another prompt: where
    one of them is as good as a model, the measure does not detect what it lacks. Intervals are 95 %
    bootstraps over images; differences to the first model are paired. docs/metrics.md defines each
    measure, and says what it does not detect.
    """
    if common and allow_missing:
        raise click.UsageError("--common and --allow-missing exclude each other")
    from motifocal.bench.score.clip import Tools
    from motifocal.bench.score.plot import check_matplotlib, draw_plot
    from motifocal.bench.score.report import write_files
    from motifocal.bench.score.run import score as compute_scores
    from motifocal.bench.score.tables import summarise
    from motifocal.data.workers.threads import Threads
    from motifocal.motion.flow import usable_cores

    if not no_plot:
        check_matplotlib()
    opened = opened_results(results, control)
    lock_output(output)
    tools = Tools(learned=_learned(clip, dino, device))
    for measure in tools.learned:
        note_unread(measure.text_limit,
                    (pair.prompt for result in opened for pair in result.benchmark.pairs))
    who = workers_of(ray, workers, Threads(workers or usable_cores()),
                     gpus=GPU_SHARE if tools.learned and chosen_device(device) == "cuda" else 0)
    with phases() as show_progress:
        scores = compute_scores(opened, output, common=common, allow_missing=allow_missing,
                                control=control, tools=tools, workers=who, seed=seed,
                                progress=show_progress)
    summary = summarise(scores)
    written = write_files(summary, output)
    if not no_plot:
        draw_plot(output / "plot.png", summary)
        written.append(output / "plot.png")
    _print(summary)
    for path in written:
        click.echo(path)


def _learned(clip: str | None, dino: str | None, device: str) -> tuple[Learned, ...]:
    learned: list[Learned] = []
    if clip is not None or dino is not None:
        from motifocal.generate.model_index import check_folder_or_id

        for model in filter(None, (clip, dino)):
            check_folder_or_id(model)
        announce("loading the models of --clip and --dino")
        from motifocal.bench.score.learned import ClipAlignment, DinoConsistency

        device = chosen_device(device)
        learned += [ClipAlignment(clip, device)] if clip is not None else []
        learned += [DinoConsistency(dino, device)] if dino is not None else []
    return tuple(learned)


def _print(summary: Summary) -> None:
    """Print the marks, the table, the differences, and what the control rows are made of."""
    from motifocal.bench.score.run import CONTROL
    from motifocal.bench.score.tables import difference_cells, difference_title, row_cells

    scores = summary.scores
    for mark in scores.marks:
        click.echo(mark)
    for failure in scores.failures:
        click.echo(f"left out: {failure}", err=True)
    _print_table(summary, scores.title, [row_cells(summary, row) for row in scores.rows])
    for row in scores.rows:
        if row.kind == CONTROL:
            click.echo(f"{row.name}: {row.note}")
    if len(scores.models) > 1:
        others = [difference_cells(summary, row) for row in scores.rows[1:]]
        _print_table(summary, difference_title(summary), others)


def _print_table(summary: Summary, title: str, rows: Sequence[Sequence[str]]) -> None:
    """Print measures in lines and rows in columns, which fits a terminal better."""
    from motifocal.bench.score.tables import headings

    head, *lines = zip(headings(summary), *rows, strict=True)
    print_table(title, head, lines, width=40 + 20 * len(rows))
