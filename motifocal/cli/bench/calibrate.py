"""`motifocal bench calibrate`: how reliable a judge is, on scenes whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from motifocal.cli.options.declare import output_option
from motifocal.cli.options.judge import judge_of, judge_options
from motifocal.cli.options.scenes import SIZE, variant_of, variant_options
from motifocal.cli.output.console import print_table
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import phases, quiet_option


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal bench calibrate Qwen/Qwen2.5-VL-7B-Instruct --precision bfloat16 -o calibration
  motifocal bench calibrate http://127.0.0.1:8000/v1 --model Qwen2.5-VL --platt
  motifocal bench calibrate --command 'python reward.py {frames} {prompt} {output}' --pairs 80
""")
@click.argument("judge", required=False)
@judge_options
@output_option("Folder of the report. What was answered is kept there: run again to resume, and "
               "take another folder after a change in a program or behind an address.",
               required=False, default=Path("calibration"), show_default=True)
@click.option("--pairs", type=click.IntRange(min=1), default=320, show_default=True,
              help="Pairs of image and prompt; each is asked of up to three clips.")
@click.option("--size", type=SIZE, default=336, show_default=True, help="Side of the scenes in "
              "pixels: the one that the judge reads.")
@click.option("--template", metavar="TEXT", help="What is said around a question: {question}, and "
              "perhaps {count} and {prompt}.")
@click.option("--platt", is_flag=True, help="Fit Platt scaling on half of the images, and report "
              "the other half.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Which other clip is shown, and which half is fitted.")
@click.option("--no-plot", is_flag=True, help="Leave reliability.png out, which needs matplotlib.")
@variant_options
@quiet_option
def calibrate(judge: str | None, output: Path, pairs: int, size: int, template: str | None,
              platt: bool, seed: int, no_plot: bool, count: int, **options: Any) -> None:
    # fmt: on
    """Measure how reliable JUDGE is: a model folder, a hub id or an address.

    On synthetic scenes it is known what happens. The judge is asked whether a clip shows a
    prompt: the prompt's own clip, another prompt's, and the still image. Accuracy, AUC,
    expected calibration error and bias towards yes are reported by kind of prompt, with 95 %
    intervals over images, and the verdict in words.
    """
    from motifocal.bench.judge.calibration_report import (
        HEAD,
        draw_reliability,
        make_report,
        rows,
        statement,
        write_report,
    )
    from motifocal.bench.judge.judge import TEMPLATE, check_template
    from motifocal.bench.judge.scene_cases import ask_scenes, scene_cases
    from motifocal.bench.score.plot import check_matplotlib

    variant = variant_of(options)
    check_template(template or TEMPLATE)
    if not no_plot:
        check_matplotlib()
    chosen = judge_of(judge, options)
    lock_output(output)
    cases = scene_cases(pairs, size, variant, seed)
    with phases() as show_progress:
        answers = ask_scenes(chosen, cases, output, count=count, template=template or TEMPLATE,
                             progress=show_progress)
    scenes = (f"{pairs} pairs of synthetic scenes, {size} x {size}, background "
              f"{variant.background}, difficulty {variant.difficulty}")
    report = make_report(chosen.name, chosen.identity, scenes, count, template or TEMPLATE,
                         answers, left_out=len(cases) - len(answers), platt=platt, seed=seed)
    written = write_report(report, output)
    if not no_plot:
        draw_reliability(output / "reliability.png", report)
        written.append(output / "reliability.png")
    print_table(scenes, HEAD, rows(report), width=140)
    click.echo(statement(report))
    for path in written:
        click.echo(path)
