"""Measure agreement between annotators and left bias, and who fails gold items.

U units (pairs), V values, K clusters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from motifocal.study.stats.intervals import DEFAULT, HALF, NONE, Estimate, Resampling, interval
from motifocal.study.stats.tally import LOST, WON, Tally, Values, winner_of
from motifocal.study.votes import REPEAT, Vote


def alpha(counts: npt.ArrayLike) -> float:
    """Return Krippendorff's alpha for nominal values: 1 - observed / expected disagreement.

    `counts` (U, V) says how many annotators gave each unit each value; units with fewer than two
    values say nothing about agreement (Krippendorff 2011, "Computing Krippendorff's
    alpha-reliability"). nan where all values are the same, or no unit has two.
    """
    sums = _agreement_sums(np.asarray(counts, dtype=np.float64))
    return float(_alpha_of_sums(sums.sum(axis=0)))


def agreement(tally: Tally, resampling: Resampling = DEFAULT) -> Estimate:
    """Return Krippendorff's alpha of one comparison (won, lost, tied), with an interval over
    images.

    The alphas of several comparisons must not be had from all votes at once: that different models
    win different comparisons would then pass for agreement.
    """
    return agreement_of_counts(tally, tally.outcomes, resampling)


def agreement_of_counts(
    tally: Tally, counts: npt.ArrayLike, resampling: Resampling = DEFAULT
) -> Estimate:
    """Return the alpha of other counts (P, V) of a tally's pairs, with an interval over images."""
    sums = tally.per_cluster(_agreement_sums(np.asarray(counts, dtype=np.float64)))
    sums = sums[sums[:, :-1].sum(axis=1) > 0].T
    value = float(_alpha_of_sums(sums.sum(axis=1)))
    low, high, method = interval(sums, _alpha_of_sums, resampling)
    return Estimate(value, low, min(high, 1.0), sums.shape[1], method)


def _agreement_sums(counts: Values) -> Values:
    """Map (U, V) to (U, V + 1): the counts of units with at least two values, and each unit's
    disagreement, the ordered pairs of different values over one less than its values."""
    size = counts.sum(axis=1)
    pairable = counts * (size > 1)[:, None]
    different = size**2 - (counts**2).sum(axis=1)
    disagreement = np.where(size > 1, different / np.maximum(size - 1, 1), 0.0)
    return np.concatenate([pairable, disagreement[:, None]], axis=1)


def _alpha_of_sums(sums: Values) -> Values:
    """Map sums (V + 1, ...) to alpha (...)."""
    counts, observed = sums[:-1], sums[-1]
    size = counts.sum(axis=0)
    expected = size**2 - (counts**2).sum(axis=0)
    unknown = np.full(expected.shape, np.nan)
    return 1 - np.divide((size - 1) * observed, expected, out=unknown, where=expected > 0)


def left_bias(tally: Tally, resampling: Resampling = DEFAULT) -> Estimate:
    """Return the share of choices for the left video, had each model been there equally often: the
    mean of how often `ours` wins on the left and how often `theirs` does.

    0.5 is no bias; nan where one of them never was on the left.
    """
    won_right = tally.outcomes[:, WON] - tally.left[:, WON]
    lost_right = tally.outcomes[:, LOST] - tally.left[:, LOST]
    # Where ours is on the right, theirs is on the left: a lost vote is a choice for the left.
    columns = np.stack([tally.left[:, WON], tally.left[:, LOST], lost_right, won_right], axis=1)
    sums = tally.per_cluster(columns)
    sums = sums[sums.sum(axis=1) > 0].T
    ours_left, ours_right = sums[:2].sum(), sums[2:].sum()
    if not (ours_left and ours_right):
        return Estimate(np.nan, np.nan, np.nan, sums.shape[1], NONE)
    value = (sums[0].sum() / ours_left + sums[2].sum() / ours_right) / 2
    low, high, method = interval(sums, _logit_of_left, resampling)
    bounds = special.expit([low, high])
    return Estimate(float(value), float(bounds[0]), float(bounds[1]), sums.shape[1], method)


def _logit_of_left(sums: Values) -> Values:
    """Return the logit, with half a vote added to each count, so that it is finite."""
    won_left, lost_left, lost_right, won_right = sums + HALF
    both = won_left / (won_left + lost_left) + lost_right / (lost_right + won_right)
    return np.log(both / (2 - both))


@dataclass(frozen=True)
class Gold:
    """The number of gold items that a worker judged, and how many wrongly."""

    seen: int
    failed: int


def gold_failures(votes: Sequence[Vote]) -> dict[str, Gold]:
    """Map workers to how their gold items went, in the order of their first vote.

    The whole video (`model_a`) should win; a repeat should have the same outcome as the worker's
    own vote on the same pair, and is not counted without one. A tie is a failure, unless a
    repeat of a tie is a tie again.
    """
    before = {(vote.worker, vote.unit): winner_of(vote) for vote in votes if vote.gold is None}
    seen: dict[str, int] = defaultdict(int)
    failed: dict[str, int] = defaultdict(int)
    for vote in votes:
        if vote.gold is None or (vote.gold == REPEAT and (vote.worker, vote.unit) not in before):
            continue
        right = before[vote.worker, vote.unit] if vote.gold == REPEAT else vote.model_a
        seen[vote.worker] += 1
        failed[vote.worker] += winner_of(vote) != right
    return {worker: Gold(seen[worker], failed[worker])
            for worker in dict.fromkeys(vote.worker for vote in votes)}
