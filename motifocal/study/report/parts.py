"""Compute the parts of a report: times, missing votes, scenarios, gold items, averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from motifocal.study.report.source import Source, votes_per_unit
from motifocal.study.stats.agreement import gold_failures
from motifocal.study.stats.compare import leads, majority, per_scenario, vote_share
from motifocal.study.stats.intervals import HALF, Estimate, Resampling, interval
from motifocal.study.stats.tally import LOST, WON, Tally, Values
from motifocal.study.votes import GOLD, Vote

SOON = 3_000  # milliseconds: too short to watch two videos and choose


@dataclass(frozen=True)
class Times:
    """Milliseconds from the first view to the choice: quartiles, how many took less than three
    seconds, and of how many it is known. nan where none is."""

    lower: float
    median: float
    upper: float
    under_3_s: int
    known: int


@dataclass(frozen=True)
class Missing:
    """How far one comparison is: pairs with fewer votes than wanted, and how many votes they lack.

    `lacking` votes never came or belong to who was excluded.
    """

    theirs: str
    pairs: int
    wanted_pairs: int
    lacking: int
    wanted: int


@dataclass(frozen=True)
class Scenario:
    """One scenario's pairs in one comparison."""

    theirs: str
    name: str
    pairs: int
    images: int
    votes: int
    share: Estimate
    majority: Estimate


@dataclass(frozen=True)
class GoldKind:
    """The results of the gold items of one kind, over all annotators, those who failed included."""

    kind: str
    seen: int
    failed: int


def times(votes: Sequence[Vote]) -> Times:
    """Return quartiles of how long the choices took."""
    known = np.array([v.milliseconds for v in votes if v.milliseconds is not None], np.float64)
    if not len(known):
        return Times(np.nan, np.nan, np.nan, 0, 0)
    lower, median, upper = (float(quartile) for quartile in np.quantile(known, (0.25, 0.5, 0.75)))
    return Times(lower, median, upper, int((known < SOON).sum()), len(known))


def missing_of(source: Source, votes: Sequence[Vote], ours: str) -> tuple[Missing, ...]:
    """Count the votes that each comparison with ours lacks, also those without any vote."""
    counts = votes_per_unit(votes)
    missing = []
    for expected in source.expected:
        if ours not in expected.models:
            continue
        (theirs,) = expected.models - {ours}
        had = [min(count, expected.votes) for unit, count in counts.items()
               if unit[0] == expected.models]
        full = sum(count == expected.votes for count in had)
        total = expected.pairs * expected.votes
        missing.append(
            Missing(theirs, expected.pairs - full, expected.pairs, total - sum(had), total))
    return tuple(missing)


def scenarios_of(tallies: Sequence[Tally], resampling: Resampling) -> list[Scenario]:
    scenarios = []
    for counted in tallies:
        scenarios += [
            Scenario(counted.theirs, name, len(part.pairs), len(part.clusters),
                     int(part.outcomes.sum()), vote_share(part, resampling),
                     majority(part, resampling).score)
            for name, part in sorted(per_scenario(counted, lambda part: part).items())
        ]
    return scenarios


def gold_kinds(votes: Sequence[Vote]) -> tuple[GoldKind, ...]:
    kinds = []
    for kind in GOLD:
        of_kind = gold_failures([vote for vote in votes if vote.gold in (None, kind)]).values()
        seen = sum(gold.seen for gold in of_kind)
        if seen:
            kinds.append(GoldKind(kind, seen, sum(gold.failed for gold in of_kind)))
    return tuple(kinds)


def averages(
    tallies: Sequence[Tally], resampling: Resampling
) -> tuple[Estimate, Estimate] | None:
    """Return the means over comparisons of raw shares and majorities, with intervals over images:
    an image that is drawn again is so in all comparisons at once."""
    if len(tallies) < 2:
        return None
    names = {name: k for k, name in
             enumerate(dict.fromkeys(name for counted in tallies for name in counted.clusters))}
    votes, pairs = np.zeros((2, 2, len(tallies), len(names)))
    for c, counted in enumerate(tallies):
        places = [names[name] for name in counted.clusters]
        lead = leads(counted)
        won = counted.outcomes[:, WON]
        decided = won + counted.outcomes[:, LOST]
        votes[:, c, places] = counted.per_cluster(won), counted.per_cluster(decided)
        halves = (lead > 0) + (lead == 0) / 2
        pairs[:, c, places] = counted.per_cluster(halves), counted.per_cluster(np.ones(len(lead)))
    return _average(votes, resampling), _average(pairs, resampling)


def _average(sums: Values, resampling: Resampling) -> Estimate:
    """Average C shares in K clusters, from sums (2, C, K) of parts and wholes."""
    _, shares, clusters = sums.shape
    part, whole = sums.sum(axis=2)

    def logit_of_mean(flat: Values) -> Values:
        parts, wholes = flat[:shares], flat[shares:]
        return np.asarray(special.logit(((parts + HALF) / (wholes + 2 * HALF)).mean(axis=0)))

    low, high, method = interval(sums.reshape(2 * shares, clusters), logit_of_mean, resampling)
    value = float((part / whole).mean()) if (whole > 0).all() else np.nan
    bounds = special.expit([low, high])
    return Estimate(value, float(bounds[0]), float(bounds[1]), clusters, method)
