"""Summarise probe scores per scenario and kind of prompt, with 95 % intervals over images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from motifocal.metrics import over_images, share_over_images
from motifocal.scenes.evaluation.evaluate import KINDS
from motifocal.scenes.evaluation.probe_table import ProbeRow
from motifocal.scenes.evaluation.report import HELD_OUT, SEEN, markdown_table

HEAD = ("", "images", "pairs", "follows", "95 %", "chance", "stands still", "margin", "95 %")


def to_markdown(title: str, rows: Sequence[ProbeRow]) -> str:
    """Return the table of all groups: all pairs, seen and held-out ones, kinds, scenarios."""
    names = ("all", SEEN, HELD_OUT, *KINDS, *sorted({row.scenario for row in rows}))
    groups = [(name, [row for row in rows if name in _groups(row)]) for name in names]
    table = markdown_table(HEAD, [_cells(name, inside) for name, inside in groups if inside])
    return "\n".join([f"# {title}", "", *table, "", NOTES, ""])


NOTES = (
    "One forward pass a pair at t = 999, without guidance. A pair follows when, inside the region "
    "where anything may move, the predicted latents are nearest to those of the true clip of its "
    "prompt, among the true clips of all prompts of its image and the static clip. *Stands still*: "
    "the static clip is nearest. *Margin*: squared distance to the nearest other candidate minus "
    "that to the right one, over that between the right one and the static clip (1 at most, -1 for "
    "the static clip). *95 %*: bootstrap over images; where "
    "all pairs or none follow, Clopper and Pearson's interval with images as the sample."
)


def _groups(row: ProbeRow) -> tuple[str, ...]:
    return "all", HELD_OUT if row.held_out else SEEN, row.kind, row.scenario


def _cells(name: str, rows: Sequence[ProbeRow]) -> list[str]:
    images = [row.image_id for row in rows]
    follows = share_over_images(np.array([float(row.follows) for row in rows]), images)
    static = np.mean([row.static for row in rows])
    margin = over_images(np.array([row.margin for row in rows]), images)
    chance = float(np.mean([1 / row.candidates for row in rows]))
    shares = "" if np.isnan(follows.low) else f"{100 * follows.low:.0f}-{follows.high:.0%}"
    bounds = "" if np.isnan(margin.low) else f"{margin.low:.2f} to {margin.high:.2f}"
    return [name, str(len(set(images))), str(len(rows)), f"{follows.mean:.1%}", shares,
            f"{chance:.1%}", f"{static:.1%}", f"{margin.mean:.2f}", bounds]

