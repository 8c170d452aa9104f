"""The votes of a study become the parts of its report: times, gaps, scenarios, gold, averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from motifocal.study.report.source import Source, votes_per_unit
from motifocal.study.stats.agreement import gold_failures
from motifocal.study.stats.intervals import HALF, Estimate, Resampling, interval
from motifocal.study.stats.shares import leads, majority, per_scenario, vote_share
from motifocal.study.stats.tally import LOST, WON, Tally, Values
from motifocal.study.votes import GOLD, Vote

SOON = 3_000  # milliseconds: nobody has watched two videos and chosen in less


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
    pictures: int
    votes: int
    share: Estimate
    majority: Estimate


@dataclass(frozen=True)
class GoldKind:
    """How the gold items of one kind went, over all annotators, who failed included."""

    kind: str
    seen: int
    failed: int


def times(votes: Sequence[Vote]) -> Times:
    """How long the choices took."""
    known = np.array([v.milliseconds for v in votes if v.milliseconds is not None], np.float64)
    if not len(known):
        return Times(np.nan, np.nan, np.nan, 0, 0)
    lower, median, upper = (float(each) for each in np.quantile(known, (0.25, 0.5, 0.75)))
    return Times(lower, median, upper, int((known < SOON).sum()), len(known))


def missing_of(source: Source, kept: Sequence[Vote], ours: str) -> tuple[Missing, ...]:
    """What each comparison with ours lacks, also those without any vote."""
    counts = votes_per_unit(kept)
    found = []
    for wanted in source.wanted:
        if ours not in wanted.models:
            continue
        (theirs,) = wanted.models - {ours}
        had = [min(count, wanted.votes) for unit, count in counts.items()
               if unit[0] == wanted.models]
        full = sum(count == wanted.votes for count in had)
        total = wanted.pairs * wanted.votes
        found.append(Missing(theirs, wanted.pairs - full, wanted.pairs, total - sum(had), total))
    return tuple(found)


def scenarios_of(tallies: Sequence[Tally], how: Resampling) -> list[Scenario]:
    found = []
    for each in tallies:
        shares = per_scenario(each, lambda part: vote_share(part, how))
        majorities = per_scenario(each, lambda part: majority(part, how).score)
        for name in sorted(shares):
            part = each.where(np.array(each.scenarios) == name)
            found.append(Scenario(each.theirs, name, len(part.pairs), len(part.clusters),
                                  int(part.outcomes.sum()), shares[name], majorities[name]))
    return found


def gold_kinds(votes: Sequence[Vote]) -> tuple[GoldKind, ...]:
    found = []
    for kind in GOLD:
        of_kind = gold_failures([vote for vote in votes if vote.gold in (None, kind)]).values()
        seen = sum(each.seen for each in of_kind)
        if seen:
            found.append(GoldKind(kind, seen, sum(each.failed for each in of_kind)))
    return tuple(found)


def averages(
    tallies: Sequence[Tally], how: Resampling
) -> tuple[Estimate, Estimate] | None:
    """The mean over comparisons of the raw shares and of the majorities, with intervals over
    pictures: one that is drawn again is so in all comparisons at once."""
    if len(tallies) < 2:
        return None
    names = {name: k for k, name in
             enumerate(dict.fromkeys(name for each in tallies for name in each.clusters))}
    votes, pairs = np.zeros((2, 2, len(tallies), len(names)))
    for c, each in enumerate(tallies):
        places = [names[name] for name in each.clusters]
        lead = leads(each)
        won, decided = each.outcomes[:, WON], each.outcomes[:, WON] + each.outcomes[:, LOST]
        votes[:, c, places] = each.per_cluster(won), each.per_cluster(decided)
        halves = (lead > 0) + (lead == 0) / 2
        pairs[:, c, places] = each.per_cluster(halves), each.per_cluster(np.ones(len(lead)))
    return _average(votes, how), _average(pairs, how)


def _average(sums: Values, how: Resampling) -> Estimate:
    """sums (2, C, K): parts and wholes of C shares in K clusters."""
    _, shares, clusters = sums.shape
    part, whole = sums.sum(axis=2)

    def logit_of_mean(flat: Values) -> Values:
        parts, wholes = flat[:shares], flat[shares:]
        return np.asarray(special.logit(((parts + HALF) / (wholes + 2 * HALF)).mean(axis=0)))

    low, high, method = interval(sums.reshape(2 * shares, clusters), logit_of_mean, how)
    value = float((part / whole).mean()) if (whole > 0).all() else np.nan
    bounds = special.expit([low, high])
    return Estimate(value, float(bounds[0]), float(bounds[1]), clusters, method)
