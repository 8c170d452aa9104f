"""Options that select a judge, and the judge that they select."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import together
from motifocal.cli.options.device import PRECISIONS, chosen_device, device_option
from motifocal.cli.output.progress import announce

if TYPE_CHECKING:
    from motifocal.bench.judge.judge import Judge

#: --command, --model, --name, --frames, --template, --batch, --timeout, --device, --precision.
judge_options = together(
    click.option("--command", metavar="TEMPLATE", help="A program as judge: it reads {frames} (a "
                 "folder of PNG files), {prompt}, {question} or {text}, and writes P(yes), a "
                 "number from 0 to 1, to {output}."),
    click.option("--model", metavar="NAME", help="Of an address: the model that is asked for."),
    click.option("--name", metavar="NAME", help="The judge's name in tables, instead of the "
                 "model's."),
    click.option("--frames", "count", type=click.IntRange(min=1), default=8, show_default=True,
                 help="Frames of each video that are shown, evenly from the first to the last."),
    click.option("--batch", type=click.IntRange(min=1), help="Questions at a time.  [default: 1 "
                 "for a model, 4 for an address]"),
    click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=120.0,
                 show_default=True, help="Seconds for one answer of an address or a program."),
    device_option("Where a model computes"),
    click.option("--precision", type=click.Choice(PRECISIONS), default="float32",
                 show_default=True, help="Numbers that a model computes with."),
)
OPTIONS = ("command", "model", "name", "batch", "timeout", "device", "precision")


def judge_of(judge: str | None, options: dict[str, Any]) -> Judge:
    """Take the options of `judge_options`, but for --frames, out of a command's; return the judge.

    `judge` is a model folder, a hub id or an address. Raises UsageError unless there is either a
    judge or a command, and for --model or --batch where they have no effect.
    """
    values = {name: options.pop(name) for name in OPTIONS}
    if (judge is None) == (values["command"] is None):
        raise click.UsageError("give a judge (a model folder, a hub id or an address) or --command")
    if values["model"] and not _is_address(judge):
        raise click.UsageError("--model needs an address as judge")
    if values["batch"] and judge is None:
        raise click.UsageError("--batch and --command exclude each other: a program answers one "
                               "question at a time")
    made = _made(judge, values)
    made.name = values["name"] or made.name
    return made


def _is_address(judge: str | None) -> bool:
    return judge is not None and judge.startswith(("http://", "https://"))


def _made(judge: str | None, values: dict[str, Any]) -> Judge:
    if judge is None:
        from motifocal.bench.judge.program import ProgramJudge

        return ProgramJudge(values["command"], values["name"] or "program",
                            timeout=values["timeout"])
    if _is_address(judge):
        if not values["model"]:
            raise click.UsageError("an address needs --model, the name of the model behind it")
        from motifocal.bench.judge.endpoint import SYSTEM_ONE, EndpointJudge, SystemOneJudge

        kind = SystemOneJudge if judge.rstrip("/").endswith(SYSTEM_ONE) else EndpointJudge
        return kind(judge, values["model"], timeout=values["timeout"], batch=values["batch"] or 4)
    from motifocal.generate.model_index import check_folder_or_id

    check_folder_or_id(judge)
    announce(f"loading {judge}")
    from motifocal.bench.judge.vision_language import VisionLanguageJudge

    return VisionLanguageJudge(judge, device=chosen_device(values["device"]),
                               precision=values["precision"], batch=values["batch"] or 1)
