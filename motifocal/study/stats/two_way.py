"""Compute a share whose interval holds for other pictures and other annotators too.

V votes, G groups. Pictures alone (see `intervals`) leave out that annotators have tastes: forty who
happen to like motion would be forty again. This is the two-way clustered variance of Cameron,
Gelbach and Miller (2011): over pictures, plus over annotators, minus over both at once, which the
first two have counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from motifocal.study.stats.intervals import (
    DEFAULT,
    EXACT,
    NONE,
    STUDENT,
    Estimate,
    Resampling,
    exact_binomial,
)
from motifocal.study.stats.tally import Cluster, Counts, Values, winner_of
from motifocal.study.votes import Vote


def share_both_ways(
    votes: Sequence[Vote], ours: str, theirs: str, resampling: Resampling = DEFAULT, *,
    cluster_by: Cluster = "image_id",
) -> Estimate:  # fmt: skip
    """Return the share of decided votes for `ours`, with an interval over pictures and annotators.

    `clusters` of the result is the smaller of the two numbers. With many annotators who judge a
    few pairs each it is hardly longer than the interval over pictures.
    """
    models = frozenset((ours, theirs))
    kept = [vote for vote in votes
            if vote.gold is None and vote.unit[0] == models and winner_of(vote) is not None]
    return two_way_share(
        np.array([winner_of(vote) == ours for vote in kept], dtype=np.float64),
        _numbered([getattr(vote, cluster_by) for vote in kept]),
        _numbered([vote.worker for vote in kept]),
        resampling,
    )


def two_way_share(
    won: Values, picture: Counts, worker: Counts, resampling: Resampling = DEFAULT
) -> Estimate:
    """Return the same from arrays (V,): 1 for a vote won, numbers from 0 for picture and worker."""
    if len(won) == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, NONE)
    value = float(won.mean())
    clusters = min(len(np.unique(picture)), len(np.unique(worker)))
    away = (won - value) / len(won)
    pictures, workers = _variance(away, picture), _variance(away, worker)
    both = _variance(away, picture * (int(worker.max()) + 1) + worker)
    # The difference is an estimate and may come out too small by chance, even negative.
    error = float(np.sqrt(max(pictures + workers - both, pictures, workers)))
    if clusters < 2 or not error > 0:
        return Estimate(value, *exact_binomial(value, clusters, resampling), clusters, EXACT)
    width = stats.t.ppf(resampling.tails, clusters - 1) * error / (value * (1 - value))
    low, high = special.expit(special.logit(value) + width)
    return Estimate(value, float(low), float(high), clusters, STUDENT)


def _variance(away: Values, group: Counts) -> float:
    """Return the variance of a mean when only different groups are independent; 0 for one group."""
    _, places = np.unique(group, return_inverse=True)
    sums = np.bincount(places.reshape(-1), away)
    return float((sums**2).sum() * len(sums) / (len(sums) - 1)) if len(sums) > 1 else 0.0


def _numbered(names: Sequence[str]) -> npt.NDArray[np.int64]:
    places = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return np.array([places[name] for name in names], dtype=np.int64)
