"""Compute a share whose interval is valid for other images and other annotators.

V votes, G groups. Images alone (see `intervals`) leave out that annotators have tastes. This is the
two-way clustered variance of Cameron, Gelbach and Miller (2011): over images, plus over annotators,
minus over both at once, which the first two have counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special, stats

from motifocal.study.stats import intervals
from motifocal.study.stats.intervals import DEFAULT, Estimate, Resampling
from motifocal.study.stats.tally import Cluster, Counts, Values, numbered, winner_of
from motifocal.study.votes import Vote


def share_both_ways(
    votes: Sequence[Vote], ours: str, theirs: str, resampling: Resampling = DEFAULT, *,
    cluster_by: Cluster = "image_id",
) -> Estimate:  # fmt: skip
    """Return the share of decided votes for `ours`, with an interval over images and annotators.

    `clusters` of the result is the smaller of the two numbers.
    """
    models = frozenset((ours, theirs))
    kept = [vote for vote in votes
            if vote.gold is None and vote.unit[0] == models and winner_of(vote) is not None]
    return two_way_share(
        np.array([winner_of(vote) == ours for vote in kept], dtype=np.float64),
        numbered([getattr(vote, cluster_by) for vote in kept])[1],
        numbered([vote.worker for vote in kept])[1],
        resampling,
    )


def two_way_share(
    won: Values, picture: Counts, worker: Counts, resampling: Resampling = DEFAULT
) -> Estimate:
    """Return the same from arrays (V,): 1 for a vote won, numbers from 0 for image and worker."""
    if len(won) == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, intervals.NONE)
    value = float(won.mean())
    clusters = min(len(np.unique(picture)), len(np.unique(worker)))
    away = (won - value) / len(won)
    pictures, workers = _variance(away, picture), _variance(away, worker)
    both = _variance(away, picture * (int(worker.max()) + 1) + worker)
    # The difference is an estimate and may come out too small by chance, even negative.
    error = float(np.sqrt(max(pictures + workers - both, pictures, workers)))
    if clusters < 2 or not error > 0:
        return intervals.exact_binomial(value, clusters, resampling)
    width = stats.t.ppf(resampling.tails, clusters - 1) * error / (value * (1 - value))
    low, high = special.expit(special.logit(value) + width)
    return Estimate(value, float(low), float(high), clusters, intervals.STUDENT)


def _variance(away: Values, group: Counts) -> float:
    """Return the variance of a mean when only different groups are independent; 0 for one group."""
    _, places = np.unique(group, return_inverse=True)
    sums = np.bincount(places.reshape(-1), away)
    return float((sums**2).sum() * len(sums) / (len(sums) - 1)) if len(sums) > 1 else 0.0
