"""Measure how far automatic measures agree with the votes.

P pairs of one or of all comparisons, K clusters (images), B resamples. For each pair a measure has
a difference between the two models' videos, and the votes have a share. A pair of which a number is
missing is left out and counted; it is never a zero.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from motifocal.bench.pairs import Pair
from motifocal.files.json_text import parse_strict_json
from motifocal.study.stats import intervals
from motifocal.study.stats.compare import leads
from motifocal.study.stats.intervals import DEFAULT, Estimate, Resampling, share
from motifocal.study.stats.tally import (
    LOST,
    WON,
    Counts,
    Tally,
    Values,
    check_compared,
    numbered,
)

MODEL = "model"  # kind of a row in scores.csv that is no control
LOWER = "lower"
POOLED = ""  # the name of all comparisons together
ROWS = 256  # pairs at once: what keeps the comparisons of all with all small

#: (model, stem, seed) -> measure -> number, nan where there is none.
Numbers = Mapping[tuple[str, str, int], Mapping[str, float]]


@dataclass(frozen=True)
class MetricScores:
    """A folder of scores: which way each measure is better, and its numbers of every video."""

    better: Mapping[str, str]
    numbers: Numbers
    marks: tuple[str, ...]


@dataclass(frozen=True)
class MetricVote:
    """One measure in one comparison, or in all (`theirs` is "").

    agreement: the share of pairs in which the measure prefers the video that the majority
    preferred; equal numbers count half, pairs without a majority (`even`) not at all. tau:
    Kendall's tau-b between the measure's difference and the share of votes. Where `better` is
    "neither", the larger number is taken for preferred.
    """

    measure: str
    better: str
    theirs: str
    pairs: int
    missing: int
    even: int
    agreement: Estimate
    tau: Estimate


@dataclass(frozen=True)
class MetricVotes:
    """All measures in all comparisons, of each the pooled row last, and the scores' marks."""

    rows: tuple[MetricVote, ...]
    marks: tuple[str, ...]

    @property
    def pooled(self) -> list[MetricVote]:
        """One row a measure."""
        return [row for row in self.rows if row.theirs == POOLED]


def read_scores(folder: Path) -> MetricScores:
    """Read a folder that `motifocal bench score` wrote. Raise ValueError where it is none."""
    table, described = folder / "scores.csv", folder / "scores.json"
    if not (table.is_file() and described.is_file()):
        raise ValueError(f"{folder} should hold scores.csv and scores.json, as motifocal bench "
                         "score writes them")
    try:
        content = parse_strict_json(described.read_bytes())
        better = {name: str(measure["better"]) for name, measure in content["measures"].items()}
        marks = tuple(str(mark) for mark in content["marks"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{described} should be what motifocal bench score writes, got "
                         f"{error!r}") from error
    return MetricScores(better, _numbers(table, list(better)), marks)


def _numbers(table: Path, measures: Sequence[str]) -> Numbers:
    numbers = {}
    with table.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        try:
            for row in reader:
                if row["kind"] != MODEL:
                    continue
                stem = Pair(row["scenario"], row["image_id"], row["prompt"]).stem
                numbers[row["row"], stem, int(row["seed"])] = {
                    name: float(row[name]) if row[name] else math.nan for name in measures}
        except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
            raise ValueError(f"{table}, line {reader.line_num} should be a video's scores, got "
                             f"{error!r}") from error
    return numbers


def metric_votes(
    tallies: Sequence[Tally], seeds: Sequence[Sequence[int]], measured: MetricScores,
    resampling: Resampling = DEFAULT,
) -> MetricVotes:  # fmt: skip
    """Compare every measure with the votes of every comparison, and of all together.

    `seeds` says which sampling seed each pair of each tally is of. Raises ValueError where none of
    the compared models has scores.
    """
    check_compared(tallies, "the scores", {model for model, _, _ in measured.numbers})
    rows = []
    for measure, better in measured.better.items():
        sign = -1.0 if better == LOWER else 1.0
        points = [_points(counted, seed, measured.numbers, measure, sign)
                  for counted, seed in zip(tallies, seeds, strict=True)]
        named = [(counted.theirs, of) for counted, of in zip(tallies, points, strict=True)]
        rows += [_row(measure, better, theirs, of, resampling)
                 for theirs, of in (*named, (POOLED, _joined(points)))]
    return MetricVotes(tuple(rows), measured.marks)


@dataclass(frozen=True)
class _Points:
    """difference (P,) nan where missing, share and lead in votes (P,), cluster names (P,)."""

    difference: Values
    share: Values
    lead: Values
    cluster: tuple[str, ...]


def _points(
    tally: Tally, seeds: Sequence[int], numbers: Numbers, measure: str, sign: float
) -> _Points:
    nothing = {measure: math.nan}
    ours, theirs = (
        np.array([numbers.get((model, pair, seed), nothing)[measure]
                  for pair, seed in zip(tally.pairs, seeds, strict=True)])
        for model in (tally.ours, tally.theirs)
    )  # fmt: skip
    votes = tally.outcomes.astype(np.float64)
    # A tie is half a vote for both: a pair of ties alone has a share too.
    shares = (votes[:, WON] + votes.sum(axis=1) - votes[:, LOST]) / (2 * votes.sum(axis=1))
    return _Points(sign * (ours - theirs), shares, leads(tally).astype(np.float64),
                   tuple(tally.clusters[k] for k in tally.cluster))


def _joined(points: Sequence[_Points]) -> _Points:
    return _Points(
        np.concatenate([part.difference for part in points]),
        np.concatenate([part.share for part in points]),
        np.concatenate([part.lead for part in points]),
        tuple(name for part in points for name in part.cluster),
    )


def _row(
    measure: str, better: str, theirs: str, points: _Points, resampling: Resampling
) -> MetricVote:
    there = np.isfinite(points.difference)
    names, cluster = numbered(
        [name for name, known in zip(points.cluster, there, strict=True) if known])
    difference, lead = points.difference[there], points.lead[there]
    agreed = (1 + np.sign(difference) * np.sign(lead)) / 2
    decided = (lead != 0).astype(np.float64)
    part, whole = (np.bincount(cluster, values, len(names)).astype(np.float64)
                   for values in (agreed * decided, decided))
    return MetricVote(
        measure=measure, better=better, theirs=theirs, pairs=len(there),
        missing=int((~there).sum()), even=int((lead == 0).sum()),
        agreement=share(part, whole, resampling),
        tau=kendall(difference, points.share[there], cluster, resampling),
    )  # fmt: skip


def kendall(x: Values, y: Values, cluster: Counts, resampling: Resampling = DEFAULT) -> Estimate:
    """Return Kendall's tau-b of x and y, both (P,), with an interval over clusters (P,), from 0.

    The interval is the percentile bootstrap; with fewer than 20 clusters it is Student's t with the
    standard error by leaving out one after the other. nan where x or y has one value only, its
    bounds also where that holds for too many resamples.
    """
    clusters = int(cluster.max()) + 1 if len(cluster) else 0
    sums = _concordance(x, y, cluster, clusters)
    value = float(_tau(sums, np.ones((1, clusters)))[0])
    if clusters < 2 or not np.isfinite(value):
        return Estimate(value, np.nan, np.nan, clusters, intervals.NONE)
    if clusters < intervals.FEWEST_TO_RESAMPLE:
        without = _tau(sums, 1 - np.eye(clusters))
        error = np.sqrt((clusters - 1) / clusters * ((without - without.mean()) ** 2).sum())
        low, high = value + error * stats.t.ppf(resampling.tails, clusters - 1)
        return Estimate(value, float(max(low, -1)), float(min(high, 1)), clusters,
                        intervals.STUDENT)
    drawn = _tau(sums, intervals.weights(clusters, resampling.resamples, resampling.seed))
    low, high = intervals.quantiles(drawn, resampling)
    if np.isnan(low):
        return Estimate(value, np.nan, np.nan, clusters, intervals.NONE)
    return Estimate(value, float(low), float(high), clusters, intervals.BOOTSTRAP)


def _concordance(x: Values, y: Values, cluster: Counts, clusters: int) -> Values:
    """Sum over all two pairs, by their clusters: both rise or fall together (1) or not (-1), x
    differs, y differs. (3, K, K)."""
    sums = np.zeros((3, clusters, clusters))
    owns = np.eye(clusters)[cluster]  # (P, K)
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        signs = [np.sign(values[rows, None] - values[None]) for values in (x, y)]
        for place, both in enumerate((signs[0] * signs[1], signs[0] ** 2, signs[1] ** 2)):
            sums[place] += owns[rows].T @ (both @ owns)
    return sums


def _tau(sums: Values, drawn: Values) -> Values:
    """Return tau-b when clusters are drawn so often, (B, K) to (B,)."""
    together, x_differs, y_differs = (((drawn @ pairs) * drawn).sum(axis=1) for pairs in sums)
    both = np.sqrt(x_differs * y_differs)
    return np.divide(together, both, out=np.full(len(drawn), np.nan), where=both > 0)
