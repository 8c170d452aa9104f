"""Write what a judge answered: a table in Markdown, scores as JSON, every answer as CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from motifocal import __version__
from motifocal.bench.judge.judge import FAILURES, RULE, Answer, text_hash
from motifocal.bench.judge.pairwise import Pairwise
from motifocal.bench.judge.run import CONTROLS, Judged
from motifocal.bench.judge.summary import JudgedRow, summarise, verdict, video_scores
from motifocal.bench.score.run import CONTROL
from motifocal.bench.score.tables import markdown_table, markdown_text
from motifocal.files.atomic import write_text
from motifocal.files.csv_text import csv_text
from motifocal.files.json_text import format_json
from motifocal.metrics import MeanInterval

KIND = "motifocal judge"  # what scores.json says it is
#: Columns of answers.csv whose text others wrote, the judge among them.
FREE = ("scenario", "prompt", "asked_of", "question", "text", "failure")
HEAD = ("", "pairs", "P(yes) (%)", "says yes (%)", "model less control (%)", "told apart",
        "expected answers (%)", "failed")
TOLD = {True: "yes", False: "NO", None: "–"}
NOTES = (
    "P(yes) and the share of yes are of the question about the prompt; *expected answers* are "
    "the mean probability of the right answers to all questions of a pair. Means over pairs with "
    "95 % intervals, bootstrapped over images; differences are taken pair by pair. A control row "
    "is told apart where the whole interval of the difference is above 0."
)


def write_files(judged: Judged, output: Path, pairwise: Sequence[Pairwise] = ()) -> list[Path]:
    """Write table.md, scores.json and answers.csv into `output`; return their paths."""
    rows = summarise(judged)
    texts = {"table.md": to_markdown(judged, rows, pairwise),
             "scores.json": format_json(to_json(judged, rows, pairwise)),
             "answers.csv": to_csv(judged)}
    for name, text in texts.items():
        write_text(output / name, text)
    return [output / name for name in texts]


def row_cells(row: JudgedRow) -> list[str]:
    """Return one row of the table, in the order of `HEAD`."""
    return [row.name, str(row.pairs), percent(row.yes), percent(row.rate),
            percent(row.difference, "+"), TOLD[row.told_apart] if row.kind == CONTROL else "",
            percent(row.score), str(sum(row.failures.values()))]


def percent(value: MeanInterval, sign: str = "") -> str:
    """Format a share with its interval, `64.8 (60.2 to 69.1)`; empty where there is none."""
    if math.isnan(value.mean):
        return ""
    mean, low, high = (f"{100 * x + 0.0:{sign}.1f}".replace("-", "−")
                       for x in (value.mean, value.low, value.high))
    return mean if math.isnan(value.low) else f"{mean} ({low} to {high})"


def pairwise_cells(comparison: Pairwise) -> list[str]:
    """Return one row of the table of comparisons, in the order of `PAIRWISE_HEAD`."""
    return [f"{comparison.ours} against {comparison.theirs}", str(len(comparison.compared)),
            percent(comparison.preference), percent(comparison.bias, "+"),
            percent(comparison.agree), str(len(comparison.failures))]


PAIRWISE_HEAD = ("", "pairs", "prefers the first model (%)", "position bias (%)",
                 "both orders agree (%)", "failed")


def to_markdown(
    judged: Judged, rows: Sequence[JudgedRow], pairwise: Sequence[Pairwise] = ()
) -> str:
    """Return the verdict, the tables, what was asked and what the rows are."""
    lines = [f"# {markdown_text(judged.judge)} on {markdown_text(judged.title)}", ""]
    for mark in judged.marks:
        lines += [f"**{markdown_text(mark)}**", ""]
    lines += [f"**{markdown_text(verdict(judged, rows))}**", ""]
    cells = [[markdown_text(cell) for cell in row_cells(row)] for row in rows]
    for row, line in zip(rows, cells, strict=True):
        line[0] = line[0] if row.kind != CONTROL else f"*{line[0]}*"
    lines += [*markdown_table(list(HEAD), cells), "", NOTES, ""]
    if pairwise:
        lines += ["## Two videos at a time, in both orders", "",
                  *markdown_table(list(PAIRWISE_HEAD), [
                      [markdown_text(cell) for cell in pairwise_cells(item)] for item in pairwise]),
                  ""]
    lines += [f"{judged.count} frames, {RULE}. Template, SHA-256 `{text_hash(judged.template)}`:",
              "", f"> {markdown_text(judged.template)}", ""]
    lines += [f"- *{row}* of {markdown_text(judged.control)}: {words}"
              for row, words in CONTROLS.items()]
    kinds = sorted({kind for row in rows for kind in row.failures})
    lines += [f"- failed, *{kind}*: {FAILURES[kind]}" for kind in kinds]
    return "\n".join(lines) + "\n"


def to_json(
    judged: Judged, rows: Sequence[JudgedRow], pairwise: Sequence[Pairwise] = ()
) -> dict[str, Any]:
    """Return all but the single answers; `videos` is what `study report --judge` reads."""
    return {
        "kind": KIND, "motifocal": __version__, "judge": judged.judge,
        "identity": dict(judged.identity), "title": judged.title, "marks": list(judged.marks),
        "frames": judged.count, "rule": RULE, "template": judged.template,
        "template_sha256": text_hash(judged.template), "seed": judged.seed,
        "control": judged.control, "verdict": verdict(judged, rows),
        "rows": [_row(row) for row in rows],
        "pairwise": [_comparison(item) for item in pairwise],
        "videos": [{"model": item.model, "scenario": item.video.pair.scenario,
                    "image_id": item.video.pair.image_id, "prompt": item.video.pair.prompt,
                    "seed": item.video.seed, "score": item.score,
                    "failure": str(item.failure) if item.failure else None}
                   for item in video_scores(judged.asked)],
    }


def _row(row: JudgedRow) -> Mapping[str, Any]:
    return {**asdict(row), "told_apart": row.told_apart}


def _comparison(item: Pairwise) -> Mapping[str, Any]:
    return {"ours": item.ours, "theirs": item.theirs, "pairs": len(item.compared),
            "preference": asdict(item.preference), "position_bias": asdict(item.bias),
            "orders_agree": asdict(item.agree), "failures": [str(f) for f in item.failures]}


def to_csv(judged: Judged) -> str:
    """Return a line for every question, with what was read and what came of it."""
    lines = []
    for item in judged.asked:
        answer = item.outcome if isinstance(item.outcome, Answer) else None
        lines.append([
            item.row, item.kind, item.video.pair.scenario, item.video.pair.image_id,
            item.video.pair.prompt, item.video.seed, item.prompt, item.question.kind,
            item.question.text, item.question.expected, item.text, item.sha256,
            math.nan if answer is None else answer.probability,
            math.nan if answer is None else answer.mass,
            "" if answer else str(item.outcome)])
    return csv_text(("row", "kind", "scenario", "image_id", "prompt", "seed", "asked_of",
                     "question_kind", "question", "expected", "text", "text_sha256",
                     "probability", "mass", "failure"), lines, free=FREE)
