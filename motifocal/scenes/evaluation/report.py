"""Summarise scores of videos, with intervals, and write them as JSON, CSV and Markdown.

Letters: P images, R resamples. An image's prompts share its difficulty, so intervals resample whole
images, never single pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from motifocal.files.csv_text import csv_text
from motifocal.files.json_text import format_json, with_earlier_names
from motifocal.metrics import MeanInterval, over_images, share_over_images
from motifocal.scenes.evaluation.evaluate import KINDS, EvalPair, Score, Scored

MEASURES = tuple(Score.__dataclass_fields__)
SHARES = ("follows", "stands_still")
#: Fields of a report's JSON -> their earlier names, beside them for one more release.
EARLIER = {"images": "pictures", "still image": "still picture"}
SEEN, HELD_OUT = "seen combinations", "held-out combinations"


@dataclass(frozen=True)
class Group:
    """One row of a report: which pairs, how many, and every measure of every kind of video.

    `measures` maps the kind of video ("made", "still image", "truth") to measure to value;
    `ends_section` is true where the next group splits the pairs in another way.
    """

    name: str
    images: int
    pairs: int
    chance: float
    measures: Mapping[str, Mapping[str, MeanInterval]]
    ends_section: bool


@dataclass(frozen=True)
class Report:
    """The scores of one set of videos, summed up over all pairs, scenarios and hard kinds."""

    title: str
    scored: Scored
    groups: tuple[Group, ...]

    @property
    def complete(self) -> bool:
        """Whether every pair had a video."""
        return not self.scored.missing


def summarise(scored: Scored, title: str = "made", *, seed: int = 0) -> Report:
    """Sum up over all pairs, seen and held-out combinations, kinds of prompt, and scenarios."""
    scenarios = sorted({pair.scenario for pair in scored.pairs})
    sections = (("all",), (SEEN, HELD_OUT), KINDS, scenarios)
    members: dict[str, list[int]] = {name: [] for section in sections for name in section}
    for index, pair in enumerate(scored.pairs):
        for name in ("all", HELD_OUT if pair.held_out else SEEN, pair.kind, pair.scenario):
            members[name].append(index)
    groups = []
    for section in sections:
        filled = [name for name in section if members[name]]
        groups += [_group(scored, name, members[name], name == filled[-1], seed) for name in filled]
    return Report(title, scored, tuple(groups))


def _group(scored: Scored, name: str, inside: list[int], ends_section: bool, seed: int) -> Group:
    """Sum up the pairs with these indices."""
    images = [scored.pairs[index].image_id for index in inside]
    measures = {
        row: {
            measure: (share_over_images if measure in SHARES else over_images)(
                np.array([getattr(scores[i], measure) for i in inside], np.float64), images,
                seed=seed,
            )
            for measure in MEASURES
        }
        for row, scores in scored.scores.items()
    }
    chance = float(np.mean([scored.chance[index] for index in inside]))
    return Group(name, len(set(images)), len(inside), chance, measures, ends_section)


def to_json(report: Report) -> str:
    """Groups, pairs and missing files as JSON; what is not a number becomes null."""
    content = {
        "title": report.title,
        "complete": report.complete,
        "missing": list(report.scored.missing),
        "groups": [with_earlier_names(asdict(group), EARLIER) for group in report.groups],
        "pairs": _rows(report.scored),
    }
    return format_json(content)


def _rows(scored: Scored) -> list[dict[str, object]]:
    """Return one row for every pair: what it is, the scores of the made video, chance."""
    return [
        {"image_id": pair.image_id, **_described(pair), "chance": chance, **asdict(made)}
        for pair, chance, made in zip(scored.pairs, scored.chance, scored.scores["made"],
                                      strict=True)
    ]


def _described(pair: EvalPair) -> dict[str, object]:
    """Return the pair, its variant's entries beside the others."""
    fields = asdict(pair)
    variant = fields.pop("variant")
    return fields | variant


def to_csv(report: Report) -> str:
    """Return one line per pair. An incomplete report is told by its JSON and Markdown, not here."""
    rows = _rows(report.scored)
    return csv_text(list(rows[0]), (row.values() for row in rows))


def to_markdown(report: Report) -> str:
    """Return the table of groups with chance and reference rows, and what the columns mean."""
    lines = [f"# {report.title}", ""]
    if not report.complete:
        lines += [incomplete_line(report), "", *(f"- `{f}`" for f in report.scored.missing), ""]
    lines += markdown_table(headings(report), map(cells, report.groups))
    return "\n".join([*lines, "", NOTES, ""])


NOTES = (
    "A video follows its text when, among the true clips of all prompts for its image and the "
    "still image, the nearest one inside the moving region is the one asked for. *95 %*: "
    "bootstrap over images; where all pairs or none follow, Clopper and Pearson's interval with "
    "images as the sample. *Chance*, *still image*, *truth*: how often one of the candidates at "
    "random, the image repeated, and the true clip follow. *Stands still*: the still image "
    "is nearest. *Motion*: change inside the moving region, over that of the true clip. "
    "*PSNR*, *SSIM*: frame 0 against the image. *Background*: PSNR of all frames against the "
    "image outside the moving region, where the true clips too have shadows and glows. In 8-bit "
    "levels: *Moving error*: root mean squared difference from the true clip inside the moving "
    "region. *Colour error*: how far the mean colour of the pixels that move in a frame of the "
    "true clip is from theirs."
)


def incomplete_line(report: Report) -> str:
    """Return what an incomplete report has to say first."""
    missing, given = len(report.scored.missing), len(report.scored.pairs)
    return f"INCOMPLETE: {missing} of {missing + given} videos are missing and in no number below."


def headings(report: Report) -> list[str]:
    """Return what the columns of `cells` hold."""
    references = [row for row in report.scored.scores if row != "made"]
    return ["", "images", "pairs", "follows", "95 %", "chance", *references, "stands still",
            "motion", "PSNR", "SSIM", "background", "moving error", "colour error"]


def cells(group: Group) -> list[str]:
    """Return one group as the cells of a table row."""
    made = group.measures["made"]
    others = [row for row in group.measures if row != "made"]
    follows = made["follows"]
    interval = "" if np.isnan(follows.low) else f"{100 * follows.low:.0f}-{follows.high:.0%}"
    references = [f"{group.measures[row]['follows'].mean:.1%}" for row in others]
    return [group.name, str(group.images), str(group.pairs), f"{follows.mean:.1%}", interval,
            f"{group.chance:.1%}", *references,
            f"{made['stands_still'].mean:.1%}", f"{made['motion'].mean:.2f}",
            f"{made['psnr'].mean:.1f}", f"{made['ssim'].mean:.3f}",
            f"{made['background_psnr'].mean:.1f}", f"{made['moving_error'].mean:.1f}",
            f"{made['colour_error'].mean:.1f}"]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table: the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]
