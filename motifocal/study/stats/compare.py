"""All votes of a study become one result for each comparison: what a report prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from motifocal.study.stats.agreement import agreement, left_bias
from motifocal.study.stats.intervals import DEFAULT, Estimate, Resampling
from motifocal.study.stats.shares import (
    Majority,
    majority,
    majority_test,
    preference_test,
    reason_shares,
    tie_share,
    vote_share,
)
from motifocal.study.stats.signflip import SignFlip, holm
from motifocal.study.stats.tally import Over, comparisons, tally
from motifocal.study.stats.two_way import share_both_ways
from motifocal.study.votes import Vote


@dataclass(frozen=True)
class Comparison:
    """Ours against one other model. Shares are ours, in [0, 1], but for `reasons` (see there).

    `share` drops ties, `share_ties_halved` gives half of each to both, `share_both_ways` is `share`
    with an interval over pictures and annotators. `test` is on votes and
    `majority_test` on pairs; `p_holm` and `majority_p_holm` are adjusted over all comparisons.
    """

    ours: str
    theirs: str
    pairs: int
    pictures: int
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


def compare(
    votes: Sequence[Vote], ours: str, how: Resampling = DEFAULT, *, over: Over = "image_id"
) -> list[Comparison]:
    """`ours` against every model it was compared with, in the order of the votes.

    The same votes and seed give the same numbers. Raises ValueError where `ours` has no votes.
    """
    others = [first if second == ours else second
              for first, second in comparisons(votes) if ours in (first, second)]
    if not others:
        known = ", ".join(sorted({name for pair in comparisons(votes) for name in pair}))
        raise ValueError(f"ours should be one of {known or 'no models'}, got {ours!r}")
    tallies = [tally(votes, ours, other, over=over) for other in others]
    tests = [preference_test(each, how.seed) for each in tallies]
    majority_tests = [majority_test(each, how.seed) for each in tallies]
    adjusted = holm([test.p for test in tests])
    majority_adjusted = holm([test.p for test in majority_tests])
    return [
        Comparison(
            ours=ours, theirs=each.theirs, pairs=len(each.pairs), pictures=len(each.clusters),
            votes=int(each.outcomes.sum()), majority=majority(each, how),
            share=vote_share(each, how), share_ties_halved=vote_share(each, how, halve_ties=True),
            share_both_ways=share_both_ways(votes, ours, each.theirs, how, over=over),
            ties=tie_share(each, how), reasons=reason_shares(each, how),
            test=tests[c], p_holm=adjusted[c],
            majority_test=majority_tests[c], majority_p_holm=majority_adjusted[c],
            alpha=agreement(each, how), left=left_bias(each, how),
        )
        for c, each in enumerate(tallies)
    ]  # fmt: skip
