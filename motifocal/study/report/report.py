"""Compute a report from votes: every number that its tables, figures and files print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from motifocal._moved import renamed_arguments
from motifocal.study.report import parts
from motifocal.study.report.parts import averages, times
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
from motifocal.study.stats.judge_votes import JudgeScores, JudgeVotes, judge_votes
from motifocal.study.stats.metric_votes import MetricScores, MetricVotes, metric_votes
from motifocal.study.stats.tally import Cluster, Tally, comparisons, first_votes, tally
from motifocal.study.votes import TIE, Vote

INCOMPLETE = "INCOMPLETE"


@dataclass(frozen=True)
class TieModel:
    """The share of one comparison under Davidson's model: P(ours wins | decided), and nu, the
    readiness to call a tie. `value.method` says how the interval was made."""

    share: Estimate
    nu: float | None


@dataclass(frozen=True)
class Report:
    """Every number of a report. Shares are those of `ours`; tallies are in the comparisons' order.

    counted_votes: without gold and `failed` annotators; `excluded` is how many of the `total_votes`
    are theirs.
    averages: (raw share, majority) over all comparisons, None where there is one.
    scores: Bradley-Terry by treatment of ties; empty where `no_scores` says why.
    """

    source: Source
    ours: str
    resampling: Resampling
    cluster_by: Cluster
    counted_votes: tuple[Vote, ...]
    total_votes: int
    excluded: int
    annotators: int
    failed: frozenset[str]
    comparisons: tuple[Comparison, ...]
    tallies: tuple[Tally, ...]
    averages: tuple[Estimate, Estimate] | None
    times: tuple[parts.Times, ...]
    all_times: parts.Times
    missing: tuple[parts.Missing, ...]
    scenarios: tuple[parts.Scenario, ...]
    gold: tuple[parts.GoldKind, ...]
    ties_reported: bool
    davidson: Mapping[str, TieModel]
    scores: Mapping[Ties, Scores]
    no_scores: str
    edges: Mapping[tuple[str, str], tuple[int, int, int]]
    metrics: MetricVotes | None
    judges: tuple[JudgeVotes, ...] = ()

    @property
    def images(self) -> int:
        return len({unit.image_id for of in self.units for unit in of})

    @property
    def pairs(self) -> int:
        return len({(unit.pair, unit.seed) for of in self.units for unit in of})

    @property
    def units(self) -> list[list[Vote]]:
        """The first vote on every pair, in the order of each tally's pairs."""
        return [list(first_votes(_between(self.counted_votes, self.ours, counted.theirs)).values())
                for counted in self.tallies]

    @property
    def votes(self) -> int:
        return sum(comparison.votes for comparison in self.comparisons)

    @property
    def marks(self) -> tuple[str, ...]:
        """What every output says of the study."""
        lacking = sum(gap.lacking for gap in self.missing)
        if not lacking:
            return self.source.marks
        pairs = sum(gap.pairs for gap in self.missing)
        wanted_pairs = sum(gap.wanted_pairs for gap in self.missing)
        wanted = sum(gap.wanted for gap in self.missing)
        return (*self.source.marks,
                f"{INCOMPLETE}: {pairs} of {wanted_pairs} comparisons of a pair have fewer votes "
                f"than wanted; {lacking} of {wanted} votes are missing ({self.excluded} votes were "
                "excluded)")


@renamed_arguments(how="resampling", over="cluster_by")
def make_report(
    source: Source, *, ours: str | None = None, resampling: Resampling = DEFAULT,
    cluster_by: Cluster = "image_id", measured: MetricScores | None = None,
    judged: Sequence[JudgeScores] = (),
) -> Report:  # fmt: skip
    """Compute the report. The same source and seed give the same report.

    `ours` is the model whose side is taken; without it, the one that all others were compared
    with. Raises ValueError where there is none such, where it has no votes, and where the votes
    name no scenarios but `cluster_by` asks for them.
    """
    failed = source.failed()
    real = [vote for vote in source.votes if vote.gold is None]
    counted = [vote for vote in real if vote.worker not in failed]
    if not counted:
        raise ValueError(f"all {len(real)} votes are of annotators who fail the gold items: "
                         f"{source.rule}")
    if cluster_by == "scenario" and not all(vote.scenario for vote in counted):
        raise ValueError("intervals over scenarios need the scenario of every vote")
    ours = ours_of(source, counted) if ours is None else ours
    compared = tuple(compare(counted, ours, resampling, cluster_by=cluster_by))
    tallies = tuple(tally(counted, ours, comparison.theirs, cluster_by=cluster_by)
                    for comparison in compared)
    ties = any(vote.winner == TIE for vote in counted)
    ties_reported = ties or (source.protocol is not None and source.protocol.ties)
    scores, no_scores = _scores(counted, ours, cluster_by, resampling, ties)
    seeds = [[seed for _, seed in first_votes(_between(counted, ours, comparison.theirs))]
             for comparison in compared]
    return Report(
        source=source, ours=ours, resampling=resampling, cluster_by=cluster_by,
        counted_votes=tuple(counted), total_votes=len(real), excluded=len(real) - len(counted),
        annotators=len({vote.worker for vote in counted}), failed=failed, comparisons=compared,
        tallies=tallies, averages=averages(tallies, resampling),
        times=tuple(times(_between(counted, ours, comparison.theirs)) for comparison in compared),
        all_times=times(counted), missing=parts.missing_of(source, counted, ours),
        scenarios=tuple(parts.scenarios_of(tallies, resampling)),
        gold=parts.gold_kinds(source.votes), ties_reported=ties_reported,
        davidson=(_davidson(counted, ours, compared, resampling, cluster_by)
                  if ties_reported else {}),
        scores=scores, no_scores=no_scores, edges=_edges(counted),
        metrics=None if measured is None else metric_votes(tallies, seeds, measured, resampling),
        judges=tuple(judge_votes(tallies, seeds, scores, resampling) for scores in judged),
    )  # fmt: skip


def ours_of(source: Source, votes: Sequence[Vote]) -> str:
    """Return the model that was compared with all others; of two models the first."""
    met = comparisons(votes)
    names = [name for name in met[0] if all(name in pair for pair in met)]
    if not names:
        known = ", ".join(dict.fromkeys(name for pair in met for name in pair))
        raise ValueError(f"no model was compared with all others: say whose side the report takes, "
                         f"one of {known}")
    return names[0]


def _between(votes: Sequence[Vote], ours: str, theirs: str) -> list[Vote]:
    return [vote for vote in votes if vote.unit[0] == {ours, theirs}]


def _edges(votes: Sequence[Vote]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Map two models to votes won by the first, lost and tied: the comparison graph."""
    edges = {}
    for first, second in comparisons(votes):
        won, lost, tied = tally(votes, first, second).outcomes.sum(axis=0).tolist()
        edges[first, second] = won, lost, tied
    return edges


def _scores(
    votes: Sequence[Vote], ours: str, cluster_by: Cluster, resampling: Resampling, ties: bool
) -> tuple[dict[Ties, Scores], str]:
    """Return Bradley-Terry scores, ours at 0, or why there are none."""
    edges = edges_of([tally(votes, *pair, cluster_by=cluster_by) for pair in comparisons(votes)])
    if len(edges.models) < 3:
        return {}, "there are two models, and their share of votes says all"
    linked = components(edges)
    if len(linked) > 1:
        listed = "; ".join(", ".join(models) for models in linked)
        return {}, f"the comparisons fall into {len(linked)} parts that no vote links: {listed}"
    treatments = TIES if ties else TIES[:1]
    return {treatment: bradley_terry(votes, anchor=ours, ties=treatment, cluster_by=cluster_by,
                                     level=resampling.level) for treatment in treatments}, ""


def _davidson(
    votes: Sequence[Vote], ours: str, compared: Sequence[Comparison], resampling: Resampling,
    cluster_by: Cluster,
) -> dict[str, TieModel]:
    models = {}
    for comparison in compared:
        fit = bradley_terry(_between(votes, ours, comparison.theirs), anchor=comparison.theirs,
                            ties="davidson", cluster_by=cluster_by, level=resampling.level)
        place = fit.models.index(ours)
        value, low, high = (float(special.expit(number[place]))
                            for number in (fit.score, fit.low, fit.high))
        nu = None if fit.log_nu is None else float(np.exp(fit.log_nu))
        models[comparison.theirs] = TieModel(
            Estimate(value, low, high, fit.clusters, "sandwich, Student's t"), nu)
    return models
