"""The counts of one comparison become what the paper prints: who is preferred, how often, and why.

P pairs, K clusters. Every share comes with a 95 % interval over pictures (see `intervals`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from motifocal.study.stats.intervals import DEFAULT, Estimate, Resampling, share
from motifocal.study.stats.signflip import SignFlip, sign_flip
from motifocal.study.stats.tally import LOST, TIED, WON, Counts, Tally
from motifocal.study.votes import REASONS


@dataclass(frozen=True)
class Majority:
    """The TI2V score, a share in [0, 1], and how many pairs were won, lost and even."""

    score: Estimate
    won: int
    lost: int
    even: int


def majority(tally: Tally, how: Resampling = DEFAULT) -> Majority:
    """The share of pairs that `ours` wins by the majority of its votes: the paper's TI2V score.

    Ties are no votes for either. A pair with as many votes for as against is even and counts half
    for both, so that the two models' scores add up to 1. With an odd number of votes and no ties
    there are no even pairs, and this is the paper's number (our reading where it is silent).
    """
    lead = leads(tally)
    won, even = (lead > 0).astype(np.float64), lead == 0
    halves = tally.per_cluster(won + even / 2)
    pairs = tally.per_cluster(np.ones(len(lead)))
    score = share(halves, pairs, how)
    return Majority(score, int(won.sum()), int((lead < 0).sum()), int(even.sum()))


def vote_share(tally: Tally, how: Resampling = DEFAULT, *, halve_ties: bool = False) -> Estimate:
    """The share of votes for `ours`: of those for either, or with ties as half a vote for both."""
    votes = tally.outcomes.astype(np.float64)
    tied = votes[:, TIED] if halve_ties else 0.0
    part = votes[:, WON] + tied / 2
    whole = votes[:, WON] + votes[:, LOST] + tied
    return share(tally.per_cluster(part), tally.per_cluster(whole), how)


def tie_share(tally: Tally, how: Resampling = DEFAULT) -> Estimate:
    """The share of votes that are ties."""
    return share(tally.per_cluster(tally.outcomes[:, TIED]),
                 tally.per_cluster(tally.outcomes.sum(axis=1)), how)


def reason_shares(tally: Tally, how: Resampling = DEFAULT) -> dict[str, dict[str, Estimate]]:
    """Model -> reason -> the share of that model's votes that name the reason.

    A vote may name several, so the shares of one model add up to more than 1.
    """
    found = {}
    for model, side in ((tally.ours, WON), (tally.theirs, LOST)):
        whole = tally.per_cluster(tally.outcomes[:, side])
        given = tally.per_cluster(tally.reasons[:, side])
        found[model] = {reason: share(given[:, r], whole, how)
                        for r, reason in enumerate(REASONS)}
    return found


def preference_test(tally: Tally, seed: int = 0) -> SignFlip:
    """Sign-flip test over pictures of "no model is preferred", on votes won minus votes lost."""
    return sign_flip(tally.per_cluster(leads(tally)), seed)


def majority_test(tally: Tally, seed: int = 0) -> SignFlip:
    """The same on pairs won minus pairs lost."""
    return sign_flip(tally.per_cluster(np.sign(leads(tally))), seed)


def leads(tally: Tally) -> Counts:
    """Votes won minus votes lost, for each pair: (P,)."""
    return tally.outcomes[:, WON] - tally.outcomes[:, LOST]


def per_scenario(tally: Tally, statistic: Callable[[Tally], Estimate]) -> dict[str, Estimate]:
    """Scenario -> a statistic of its pairs alone, in the order of the pairs.

    A scenario holds three to six pictures, so its interval is long. Read it as a hint of where to
    look: 22 intervals at 95 % miss the truth about once.
    """
    names = np.array(tally.scenarios)
    return {name: statistic(tally.where(names == name))
            for name in dict.fromkeys(tally.scenarios)}
