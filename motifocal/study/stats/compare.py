"""Compute the paper's results for each comparison: who is preferred, how often, and why.

P pairs, K clusters. Every share comes with a 95 % interval over images (see `intervals`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from motifocal._moved import renamed_arguments
from motifocal.study.stats.agreement import agreement, left_bias
from motifocal.study.stats.intervals import DEFAULT, Estimate, Resampling, share
from motifocal.study.stats.signflip import SignFlip, holm, sign_flip
from motifocal.study.stats.tally import LOST, TIED, WON, Cluster, Counts, Tally, comparisons, tally
from motifocal.study.stats.two_way import share_both_ways
from motifocal.study.votes import REASONS, Vote

T = TypeVar("T")


@dataclass(frozen=True)
class Majority:
    """The TI2V score, a share in [0, 1], and how many pairs were won, lost and even."""

    score: Estimate
    won: int
    lost: int
    even: int


def majority(tally: Tally, resampling: Resampling = DEFAULT) -> Majority:
    """Return the paper's TI2V score: the share of pairs that `ours` wins by the majority of votes.

    Ties are no votes for either. Where the paper is silent, our reading: an even pair counts half
    for both, so that the two models' scores add up to 1.
    """
    lead = leads(tally)
    won, even = (lead > 0).astype(np.float64), lead == 0
    halves = tally.per_cluster(won + even / 2)
    pairs = tally.per_cluster(np.ones(len(lead)))
    score = share(halves, pairs, resampling)
    return Majority(score, int(won.sum()), int((lead < 0).sum()), int(even.sum()))


def vote_share(
    tally: Tally, resampling: Resampling = DEFAULT, *, halve_ties: bool = False
) -> Estimate:
    """Return the share of votes for `ours`; ties count for neither, or half for both."""
    votes = tally.outcomes.astype(np.float64)
    tied = votes[:, TIED] if halve_ties else 0.0
    part = votes[:, WON] + tied / 2
    whole = votes[:, WON] + votes[:, LOST] + tied
    return share(tally.per_cluster(part), tally.per_cluster(whole), resampling)


def tie_share(tally: Tally, resampling: Resampling = DEFAULT) -> Estimate:
    """Return the share of votes that are ties."""
    return share(tally.per_cluster(tally.outcomes[:, TIED]),
                 tally.per_cluster(tally.outcomes.sum(axis=1)), resampling)


def reason_shares(tally: Tally, resampling: Resampling = DEFAULT) -> dict[str, dict[str, Estimate]]:
    """Map model and reason to the share of that model's votes that name the reason.

    A vote may name several, so the shares of one model add up to more than 1.
    """
    shares = {}
    for model, side in ((tally.ours, WON), (tally.theirs, LOST)):
        whole = tally.per_cluster(tally.outcomes[:, side])
        given = tally.per_cluster(tally.reasons[:, side])
        shares[model] = {reason: share(given[:, r], whole, resampling)
                         for r, reason in enumerate(REASONS)}
    return shares


def preference_test(tally: Tally, seed: int = 0) -> SignFlip:
    """Test over images, by sign flips on votes won minus lost, that no model is preferred."""
    return sign_flip(tally.per_cluster(leads(tally)), seed)


def majority_test(tally: Tally, seed: int = 0) -> SignFlip:
    """Test the same on pairs won minus pairs lost."""
    return sign_flip(tally.per_cluster(np.sign(leads(tally))), seed)


def leads(tally: Tally) -> Counts:
    """Return votes won minus votes lost, for each pair: (P,)."""
    return tally.outcomes[:, WON] - tally.outcomes[:, LOST]


def per_scenario(tally: Tally, statistic: Callable[[Tally], T]) -> dict[str, T]:
    """Map scenarios to a statistic of their pairs alone, in the order of the pairs.

    A scenario holds few images: read it as a hint of where to look.
    """
    names = np.array(tally.scenarios)
    return {name: statistic(tally.where(names == name))
            for name in dict.fromkeys(tally.scenarios)}


@dataclass(frozen=True)
class Comparison:
    """Ours against one other model. Shares are ours, in [0, 1], but for `reasons` (see there).

    `share` drops ties, `share_both_ways` is the same with an interval over images and annotators.
    `test` is on votes, `majority_test` on pairs; the `p_holm` are adjusted over all comparisons.
    """

    ours: str
    theirs: str
    pairs: int
    images: int
    votes: int
    majority: Majority
    share: Estimate
    share_ties_halved: Estimate
    share_both_ways: Estimate
    ties: Estimate
    reasons: dict[str, dict[str, Estimate]]
    test: SignFlip
    p_holm: float
    majority_test: SignFlip
    majority_p_holm: float
    alpha: Estimate
    left: Estimate


@renamed_arguments(how="resampling", over="cluster_by")
def compare(
    votes: Sequence[Vote], ours: str, resampling: Resampling = DEFAULT, *,
    cluster_by: Cluster = "image_id",
) -> list[Comparison]:
    """Compare `ours` with every model it was compared with, in the order of the votes.

    The same votes and seed give the same numbers. Raises ValueError where `ours` has no votes.
    """
    others = [first if second == ours else second
              for first, second in comparisons(votes) if ours in (first, second)]
    if not others:
        known = ", ".join(sorted({name for pair in comparisons(votes) for name in pair}))
        raise ValueError(f"ours should be one of {known or 'no models'}, got {ours!r}")
    tallies = [tally(votes, ours, other, cluster_by=cluster_by) for other in others]
    tests = [preference_test(counted, resampling.seed) for counted in tallies]
    majority_tests = [majority_test(counted, resampling.seed) for counted in tallies]
    adjusted = holm([test.p for test in tests])
    majority_adjusted = holm([test.p for test in majority_tests])
    return [
        Comparison(
            ours=ours, theirs=counted.theirs, pairs=len(counted.pairs),
            images=len(counted.clusters), votes=int(counted.outcomes.sum()),
            majority=majority(counted, resampling),
            share=vote_share(counted, resampling),
            share_ties_halved=vote_share(counted, resampling, halve_ties=True),
            share_both_ways=share_both_ways(votes, ours, counted.theirs, resampling,
                                            cluster_by=cluster_by),
            ties=tie_share(counted, resampling), reasons=reason_shares(counted, resampling),
            test=tests[c], p_holm=adjusted[c],
            majority_test=majority_tests[c], majority_p_holm=majority_adjusted[c],
            alpha=agreement(counted, resampling), left=left_bias(counted, resampling),
        )
        for c, counted in enumerate(tallies)
    ]  # fmt: skip
