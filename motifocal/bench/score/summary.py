"""Rows of numbers become means with intervals, and differences to the first model.

Intervals are 95 % bootstraps over pictures: the sentences of one picture share its difficulty.
Videos of one pair (several seeds) are averaged first.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from motifocal.bench.score.run import Row, Scores
from motifocal.metrics import Measured, over_pictures


@dataclass(frozen=True)
class Cell:
    """A mean over `pairs` pairs of `pictures` pictures; None where there is no number at all."""

    value: Measured | None
    pairs: int
    pictures: int


@dataclass(frozen=True)
class Summary:
    """The scores and what they come to.

    `cells` maps a row's name to a measure to its mean, `differences` to the mean difference to the
    first model on the pairs that both have; the first model's own is left out.
    """

    scores: Scores
    cells: Mapping[str, Mapping[str, Cell]]
    differences: Mapping[str, Mapping[str, Cell]]


def summarise(scores: Scores) -> Summary:
    """Means and paired differences to the first row, with intervals over pictures."""
    cells, differences = {}, {}
    base = {name: _by_pair(scores.rows[0], name) for name in scores.measures}
    for row in scores.rows:
        values = {name: _by_pair(row, name) for name in scores.measures}
        cells[row.name] = {name: _cell(of_row) for name, of_row in values.items()}
        if row is not scores.rows[0]:
            differences[row.name] = {
                name: _cell({pair: value - base[name][pair] for pair, value in of_row.items()
                             if pair in base[name]})
                for name, of_row in values.items()
            }
    return Summary(scores, cells, differences)


def _by_pair(row: Row, measure: str) -> dict[tuple[str, str], float]:
    """(stem, picture) -> the mean over its videos; what is not a number is left out."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for video in row.videos:
        if not math.isnan(video.numbers[measure]):
            found[video.pair.stem, video.pair.image_id].append(video.numbers[measure])
    return {pair: math.fsum(values) / len(values) for pair, values in found.items()}


def _cell(values: Mapping[tuple[str, str], float]) -> Cell:
    pictures = [picture for _, picture in values]
    if not values:
        return Cell(None, 0, 0)
    measured = over_pictures(np.array(list(values.values())), pictures)
    return Cell(measured, len(values), len(set(pictures)))
