"""The votes of a study become a report: every number that its tables, figures and files print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from motifocal.study.report.parts import (
    GoldKind,
    Missing,
    Scenario,
    Times,
    averages,
    gold_kinds,
    missing_of,
    scenarios_of,
    times,
)
from motifocal.study.report.source import Source
from motifocal.study.stats.bradley_terry import (
    TIES,
    Scores,
    Ties,
    bradley_terry,
    components,
    edges_of,
)
from motifocal.study.stats.compare import Comparison, compare
from motifocal.study.stats.intervals import DEFAULT, Estimate, Resampling
from motifocal.study.stats.metric_votes import Measured, MetricVotes, metric_votes
from motifocal.study.stats.tally import Over, Tally, comparisons, tally
from motifocal.study.votes import TIE, Vote

INCOMPLETE = "INCOMPLETE"


@dataclass(frozen=True)
class TieModel:
    """What becomes of the share of one comparison under Davidson's model: P(ours wins | decided),
    and nu, the readiness to call a tie. `value.method` says how the interval was made."""

    share: Estimate
    nu: float | None


@dataclass(frozen=True)
class Report:
    """All of it. Shares are those of `ours`, in [0, 1]; tallies are in the comparisons' order.

    kept: the votes that count, without gold and `failed` annotators; `excluded` is how many of the
    `cast` votes are theirs.
    averages: (raw share, majority) over all comparisons, None where there is one.
    scores: Bradley-Terry by treatment of ties; empty where `no_scores` says why.
    """

    source: Source
    ours: str
    how: Resampling
    over: Over
    kept: tuple[Vote, ...]
    cast: int
    excluded: int
    annotators: int
    failed: frozenset[str]
    comparisons: tuple[Comparison, ...]
    tallies: tuple[Tally, ...]
    averages: tuple[Estimate, Estimate] | None
    times: tuple[Times, ...]
    all_times: Times
    missing: tuple[Missing, ...]
    scenarios: tuple[Scenario, ...]
    gold: tuple[GoldKind, ...]
    ties_reported: bool
    davidson: Mapping[str, TieModel]
    scores: Mapping[Ties, Scores]
    no_scores: str
    edges: Mapping[tuple[str, str], tuple[int, int, int]]
    metrics: MetricVotes | None

    @property
    def pictures(self) -> int:
        return len({unit.image_id for of in self.units for unit in of})

    @property
    def pairs(self) -> int:
        return len({(unit.pair, unit.seed) for of in self.units for unit in of})

    @property
    def units(self) -> list[list[Vote]]:
        """The first vote on every pair, in the order of each tally's pairs."""
        return [_units(_between(self.kept, self.ours, each.theirs)) for each in self.tallies]

    @property
    def votes(self) -> int:
        return sum(each.votes for each in self.comparisons)

    @property
    def marks(self) -> tuple[str, ...]:
        """What every output says of the study."""
        lacking = sum(each.lacking for each in self.missing)
        if not lacking:
            return self.source.marks
        pairs = sum(each.pairs for each in self.missing)
        wanted_pairs = sum(each.wanted_pairs for each in self.missing)
        wanted = sum(each.wanted for each in self.missing)
        return (*self.source.marks,
                f"{INCOMPLETE}: {pairs} of {wanted_pairs} comparisons of a pair have fewer votes "
                f"than wanted; {lacking} of {wanted} votes are missing ({self.excluded} votes were "
                "excluded)")


def make_report(
    source: Source, *, ours: str | None = None, how: Resampling = DEFAULT,
    over: Over = "image_id", measured: Measured | None = None,
) -> Report:  # fmt: skip
    """Compute everything. The same source and seed give the same report.

    `ours` is the model whose side is taken; without it, the one that all others were compared
    with. Raises ValueError where there is none such, where it has no votes, and where the votes
    name no scenarios but `over` asks for them.
    """
    failed = source.failed()
    real = [vote for vote in source.votes if vote.gold is None]
    kept = [vote for vote in real if vote.worker not in failed]
    if not kept:
        raise ValueError(f"all {len(real)} votes are of annotators who fail the gold items: "
                         f"{source.rule}")
    if over == "scenario" and not all(vote.scenario for vote in kept):
        raise ValueError("intervals over scenarios need the scenario of every vote")
    ours = ours_of(source, kept) if ours is None else ours
    compared = tuple(compare(kept, ours, how, over=over))
    tallies = tuple(tally(kept, ours, each.theirs, over=over) for each in compared)
    ties = any(vote.winner == TIE for vote in kept)
    ties_reported = ties or (source.protocol is not None and source.protocol.ties)
    scores, no_scores = _scores(kept, ours, over, how, ties)
    seeds = [[unit.seed for unit in _units(_between(kept, ours, each.theirs))]
             for each in compared]
    return Report(
        source=source, ours=ours, how=how, over=over, kept=tuple(kept), cast=len(real),
        excluded=len(real) - len(kept), annotators=len({vote.worker for vote in kept}),
        failed=failed, comparisons=compared, tallies=tallies, averages=averages(tallies, how),
        times=tuple(times(_between(kept, ours, each.theirs)) for each in compared),
        all_times=times(kept), missing=missing_of(source, kept, ours),
        scenarios=tuple(scenarios_of(tallies, how)), gold=gold_kinds(source.votes),
        ties_reported=ties_reported,
        davidson=_davidson(kept, ours, compared, how, over) if ties_reported else {},
        scores=scores, no_scores=no_scores, edges=_edges(kept),
        metrics=None if measured is None else metric_votes(tallies, seeds, measured, how),
    )  # fmt: skip


def ours_of(source: Source, votes: Sequence[Vote]) -> str:
    """The model that was compared with all others; of two models the first."""
    met = comparisons(votes)
    names = [name for name in met[0] if all(name in pair for pair in met)]
    if not names:
        known = ", ".join(dict.fromkeys(name for pair in met for name in pair))
        raise ValueError(f"no model was compared with all others: say whose side the report takes, "
                         f"one of {known}")
    return names[0]


def _units(votes: Sequence[Vote]) -> list[Vote]:
    first: dict[tuple[str, int], Vote] = {}
    for vote in votes:
        first.setdefault((vote.pair, vote.seed), vote)
    return list(first.values())


def _between(votes: Sequence[Vote], ours: str, theirs: str) -> list[Vote]:
    return [vote for vote in votes if vote.unit[0] == {ours, theirs}]


def _edges(votes: Sequence[Vote]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Two models -> votes won by the first, lost, tied: the comparison graph."""
    found = {}
    for first, second in comparisons(votes):
        won, lost, tied = tally(votes, first, second).outcomes.sum(axis=0).tolist()
        found[first, second] = won, lost, tied
    return found


def _scores(
    votes: Sequence[Vote], ours: str, over: Over, how: Resampling, ties: bool
) -> tuple[dict[Ties, Scores], str]:
    """Bradley-Terry scores, ours at 0, or why there are none."""
    edges = edges_of([tally(votes, *pair, over=over) for pair in comparisons(votes)])
    if len(edges.models) < 3:
        return {}, "there are two models, and their share of votes says all"
    parts = components(edges)
    if len(parts) > 1:
        listed = "; ".join(", ".join(part) for part in parts)
        return {}, f"the comparisons fall into {len(parts)} parts that no vote links: {listed}"
    treatments = TIES if ties else TIES[:1]
    return {treatment: bradley_terry(votes, anchor=ours, ties=treatment, over=over,
                                     level=how.level) for treatment in treatments}, ""


def _davidson(
    votes: Sequence[Vote], ours: str, compared: Sequence[Comparison], how: Resampling, over: Over
) -> dict[str, TieModel]:
    found = {}
    for each in compared:
        fit = bradley_terry(_between(votes, ours, each.theirs), anchor=each.theirs,
                            ties="davidson", over=over, level=how.level)
        place = fit.models.index(ours)
        value, low, high = (float(special.expit(number[place]))
                            for number in (fit.score, fit.low, fit.high))
        nu = None if fit.log_nu is None else float(np.exp(fit.log_nu))
        found[each.theirs] = TieModel(
            Estimate(value, low, high, fit.clusters, "sandwich, Student's t"), nu)
    return found
