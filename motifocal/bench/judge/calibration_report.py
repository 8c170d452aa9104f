"""Write how reliable a judge is, in words and tables, and draw its reliability curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motifocal import __version__
from motifocal.bench.judge.calibration import (
    Array,
    Bin,
    Calibration,
    Platt,
    calibrate,
    fit_platt,
    reliability,
)
from motifocal.bench.judge.judge import FAILURES, RULE, Answer, Failure, text_hash
from motifocal.bench.judge.report import percent
from motifocal.bench.judge.scene_cases import ANOTHER, OWN, STILL, CaseAnswer
from motifocal.bench.score.plot import COLOUR, GREY, new_figure, save_figure
from motifocal.bench.score.tables import markdown_table, markdown_text
from motifocal.files.atomic import write_text
from motifocal.files.csv_text import csv_text
from motifocal.files.json_text import format_json
from motifocal.metrics import NO_INTERVAL, MeanInterval, over_images
from motifocal.scenes.evaluation.evaluate import KINDS

ALL = "all"
ALWAYS = 0.95  # of answers alike, from which a judge says one thing to everything
GOOD = 0.9  # AUC and accuracy, above which the words are plain praise
HEAD = ("", "questions", "failed", "accuracy (%)", "AUC (%)", "calibration error (%)",
        "says yes (%)", "yes less true (%)")


@dataclass(frozen=True)
class JudgeReport:
    """What the synthetic scenes say of a judge.

    tables: all questions, then those of each kind of prompt; apart: P(yes) to the own clip less
    that to another prompt's, and to the still image, pair by pair; platt: the scaling fitted on
    one half of the images, with the other half's calibration before and after it, or None;
    left_out: how many cases the frames shown could not answer.
    """

    judge: str
    identity: Mapping[str, Any]
    scenes: str
    count: int
    template: str
    left_out: int
    answers: tuple[CaseAnswer, ...]
    tables: Mapping[str, Calibration]
    apart: Mapping[str, MeanInterval]
    curve: tuple[Bin, ...]
    platt: tuple[Platt, Calibration, Calibration] | None


def make_report(
    judge: str, identity: Mapping[str, Any], scenes: str, count: int, template: str,
    answers: Sequence[CaseAnswer], *, left_out: int = 0, platt: bool = False, seed: int = 0,
) -> JudgeReport:  # fmt: skip
    """Measure the answers. Raises ValueError where Platt scaling cannot be fitted."""
    probability, truth, images = _arrays(answers)
    kinds = np.array([answer.case.pair.kind for answer in answers])
    tables = {ALL: calibrate(probability, truth, images, seed)}
    for kind in KINDS:
        of = kinds == kind
        if of.any():
            tables[kind] = calibrate(probability[of], truth[of],
                                     [image for image, there in zip(images, of, strict=True)
                                      if there], seed)
    apart = {clip: _difference(answers, clip) for clip in (ANOTHER, STILL)}
    return JudgeReport(judge, dict(identity), scenes, count, template, left_out, tuple(answers),
                       tables, apart, tuple(reliability(probability, truth)),
                       _platt(probability, truth, images, seed) if platt else None)


def _arrays(answers: Sequence[CaseAnswer]) -> tuple[Array, np.ndarray[Any, Any], list[str]]:
    probability = np.array([answer.outcome.probability if isinstance(answer.outcome, Answer)
                            else np.nan for answer in answers])
    return (probability, np.array([answer.case.truth for answer in answers]),
            [answer.case.pair.image_id for answer in answers])


def _difference(answers: Sequence[CaseAnswer], clip: str) -> MeanInterval:
    """Return the mean of P(yes) to a pair's own clip less that to `clip`, over images."""
    probabilities = {(answer.case.pair, answer.case.clip): answer.outcome.probability
                     for answer in answers if isinstance(answer.outcome, Answer)}
    pairs = [pair for pair, other in probabilities
             if other == clip and (pair, OWN) in probabilities]
    if not pairs:
        return NO_INTERVAL
    differences = [probabilities[pair, OWN] - probabilities[pair, clip] for pair in pairs]
    return over_images(np.array(differences), [pair.image_id for pair in pairs])


def _platt(
    probability: Array, truth: np.ndarray[Any, Any], images: Sequence[str], seed: int
) -> tuple[Platt, Calibration, Calibration]:
    """Fit on half of the images, drawn by `seed`; measure the others before and after."""
    names = np.unique(images)
    drawn = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2])
    fitting = np.array([image in drawn for image in images])
    if fitting.all() or not fitting.any():
        raise ValueError("Platt scaling needs two images or more, to fit and to measure")
    platt = fit_platt(probability[fitting], truth[fitting])
    held_out = [image for image in images if image not in drawn]
    before = calibrate(probability[~fitting], truth[~fitting], held_out, seed)
    after = calibrate(platt.apply(probability[~fitting]), truth[~fitting], held_out, seed)
    return platt, before, after


def statement(report: JudgeReport) -> str:
    """Say in one or two sentences what kind of judge this is."""
    whole = report.tables[ALL]
    if whole.failures == whole.questions:
        return f"{report.judge} answered no question: there is nothing to believe."
    yes, true = 100 * whole.yes.mean, 100 * whole.true
    failed = f" {whole.failures} of {whole.questions} questions failed." if whole.failures else ""
    for word, share in (("yes", whole.yes.mean), ("no", 1 - whole.yes.mean)):
        if share >= ALWAYS:
            return (f"{report.judge} says {word} to nearly everything: yes in {yes:.0f} % of its "
                    f"answers, where {true:.0f} % of the statements are true. Its answers say "
                    f"nothing about a video.{failed}")
    unknown = [clip for clip, less in report.apart.items() if math.isnan(less.low)]
    alike = [clip for clip, less in report.apart.items() if less.low <= 0]
    if unknown:
        known = f" It does not tell it from {alike[0]}." if alike else ""
        return (f"Whether {report.judge} tells a prompt's own clip from "
                f"{' or from '.join(unknown)} cannot be said: that needs answers about two "
                f"images or more.{known}{failed}")
    if len(alike) == len(report.apart):
        return (f"{report.judge} answers alike whatever happens after the first frame: it tells a "
                f"prompt's own clip neither from {ANOTHER} nor from {STILL}. It judges the "
                f"image and the prompt, not the video.{failed}")
    if alike:
        return (f"{report.judge} does not tell a prompt's own clip from {alike[0]}; believe it "
                f"in nothing that depends on that. AUC {whole.auc.mean:.2f}.{failed}")
    sure = whole.auc.low >= GOOD and whole.accuracy.low >= GOOD
    words = "tells what happens" if sure else "tells what happens in part"
    return (f"{report.judge} {words}: {percent(whole.accuracy)} % right, AUC {whole.auc.mean:.2f}, "
            f"and a prompt's own clip gets more than {ANOTHER} and than {STILL}.{failed}")


def table_cells(name: str, of: Calibration) -> list[str]:
    """Return one row of the table, in the order of `HEAD`."""
    return [name, str(of.questions), str(of.failures), percent(of.accuracy), percent(of.auc),
            percent(of.error), percent(of.yes), percent(of.bias, "+")]


def rows(report: JudgeReport) -> list[list[str]]:
    """Return all rows of the table, those of Platt scaling last."""
    lines = [table_cells(name, of) for name, of in report.tables.items()]
    if report.platt is not None:
        _, before, after = report.platt
        lines += [table_cells("other half, as it is", before),
                  table_cells("other half, Platt-scaled", after)]
    return lines


def to_markdown(report: JudgeReport) -> str:
    """Return the statement, the table, and what was asked."""
    lines = [f"# How far {markdown_text(report.judge)} can be believed", "",
             f"**{markdown_text(statement(report))}**", "",
             *markdown_table(list(HEAD), [[markdown_text(cell) for cell in row]
                                          for row in rows(report)]), "",
             f"On {markdown_text(report.scenes)}. 95 % intervals over images; a failure counts "
             "as a wrong answer. Kinds are those of the prompts. "
             f"{report.left_out} questions were not asked: the frames shown are those of the "
             "prompt's own clip.", ""]
    lines += [f"- P(yes) to {OWN} less that to {clip}: {percent(difference, '+')} %"
              for clip, difference in report.apart.items()]
    if report.platt is not None:
        platt = report.platt[0]
        lines.append(f"- Platt scaling, fitted on half of the images: slope {platt.slope:.3f}, "
                     f"offset {platt.offset:+.3f} on the logit")
    lines += ["", f"{report.count} frames, {RULE}. Template, SHA-256 "
              f"`{text_hash(report.template)}`:", "", f"> {markdown_text(report.template)}", ""]
    kinds = {answer.outcome.kind for answer in report.answers
             if isinstance(answer.outcome, Failure)}
    lines += [f"- failed, *{kind}*: {FAILURES[kind]}" for kind in sorted(kinds)]
    return "\n".join(lines).rstrip() + "\n"


def write_report(report: JudgeReport, output: Path) -> list[Path]:
    """Write calibration.md, calibration.json and answers.csv into `output`; return their paths."""
    texts = {"calibration.md": to_markdown(report), "calibration.json": format_json(_json(report)),
             "answers.csv": _csv(report)}
    for name, text in texts.items():
        write_text(output / name, text)
    return [output / name for name in texts]


def _json(report: JudgeReport) -> dict[str, Any]:
    platt = report.platt and {"slope": report.platt[0].slope, "offset": report.platt[0].offset,
                              "before": asdict(report.platt[1]), "after": asdict(report.platt[2])}
    return {"kind": "motifocal calibration", "motifocal": __version__, "judge": report.judge,
            "identity": dict(report.identity), "statement": statement(report),
            "scenes": report.scenes, "left_out": report.left_out,
            "frames": report.count, "rule": RULE,
            "template": report.template, "template_sha256": text_hash(report.template),
            "tables": {name: asdict(of) for name, of in report.tables.items()},
            "own_less": {clip: asdict(of) for clip, of in report.apart.items()},
            "reliability": [asdict(bin) for bin in report.curve], "platt": platt}


def _csv(report: JudgeReport) -> str:
    lines = []
    for answer in report.answers:
        case, answered = answer.case, isinstance(answer.outcome, Answer)
        lines.append([case.pair.image_id, case.pair.prompt, case.pair.kind, case.clip,
                      "yes" if case.truth else "no",
                      answer.outcome.probability if isinstance(answer.outcome, Answer)
                      else math.nan, "" if answered else str(answer.outcome)])
    return csv_text(("image_id", "prompt", "kind", "clip", "truth", "probability", "failure"),
                    lines, free=("prompt", "failure"))


def draw_reliability(path: Path, report: JudgeReport) -> None:
    """Plot the share that is true over P(yes), a dot a bin as large as the bin holds answers."""
    with new_figure(4.6, 4.2, 120) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        most = max((bin.count for bin in report.curve), default=1)
        axes.plot([bin.mean for bin in report.curve], [bin.true for bin in report.curve],
                  color=COLOUR, linewidth=1)
        axes.scatter([bin.mean for bin in report.curve], [bin.true for bin in report.curve],
                     s=[8 + 90 * bin.count / most for bin in report.curve], color=COLOUR)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="P(yes)",
                 ylabel="share that is true", title=report.judge[:60])
        axes.grid(alpha=0.2)
        save_figure(figure, path)
