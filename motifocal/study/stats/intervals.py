"""Compute intervals that are also valid for other images, from sums per image.

K clusters (images), D sums, B resamples. A study with other images and other annotators would
give another value; the interval says how far off. So images are what is drawn again, each with
all its prompts and votes. An interval over votes takes five votes on one pair for five
independent facts and is too short: in the paper's design it covers the truth 81 % of the time.

The interval is the studentised bootstrap (Efron and Tibshirani 1993, section 12.5): how far a
resample lies from the value, in units of its own standard error by the delete-one jackknife over
images. Shares are taken to the logit scale first, which keeps them inside [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special, stats

from motifocal.study.stats.tally import Values

#: Takes (D, ...) to (...): a value made of sums.
Statistic = Callable[[Values], Values]

#: With fewer images than this there are too few different resamples: Student's t instead.
FEWEST_TO_RESAMPLE = 20
#: With fewer images than this that hold a vote of each kind: the exact binomial interval.
FEWEST_DISSENTING = 5
FEWEST_RESAMPLES = 200
CHUNK = 100_000  # numbers at once: what stays near the processor
HALF = 0.5

BOOTSTRAP, STUDENT, EXACT, NONE = "bootstrap", "Student's t", "exact binomial", "none"


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: by how many resamples, drawn from which seed, to hold how often."""

    seed: int = 0
    resamples: int = 2000
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.resamples < FEWEST_RESAMPLES or not 0 < self.level < 1:
            raise ValueError(f"resamples should be at least {FEWEST_RESAMPLES} and level between 0 "
                             f"and 1, got {self.resamples} and {self.level}")

    @property
    def tails(self) -> Values:
        """The chances of a value below the interval, and of one below its upper end: (2,)."""
        return np.array([(1 - self.level) / 2, (1 + self.level) / 2])


DEFAULT = Resampling()


@dataclass(frozen=True)
class Estimate:
    """A value, the bounds of its interval, on how many clusters it rests, and by which method.

    Everything that cannot be known from these votes is nan.
    """

    value: float
    low: float
    high: float
    clusters: int
    method: str


def share(part: Values, whole: Values, resampling: Resampling = DEFAULT) -> Estimate:
    """Return sum(part) / sum(whole) over clusters, both (K,), with 0 <= part <= whole.

    Clusters with nothing in `whole` are left out. Where the votes of one kind come from fewer than
    five images, the interval is Clopper and Pearson's with images as the sample: too long rather
    than too short.
    """
    there = whole > 0
    part, whole = part[there], whole[there]
    clusters = len(whole)
    if clusters == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, NONE)
    value = float(part.sum() / whole.sum())
    dissenting = min(int((part > 0).sum()), int((part < whole).sum()))
    if dissenting < min(FEWEST_DISSENTING, max(clusters, 2)):
        return exact_binomial(value, clusters, resampling)
    sums = np.stack([part, whole])
    low, high, method = interval(sums, _logit_of_sums, resampling)
    if method == NONE:  # all clusters alike, which few may be by chance
        return exact_binomial(value, clusters, resampling)
    return Estimate(value, float(special.expit(low)), float(special.expit(high)), clusters, method)


def _logit_of_sums(sums: Values) -> Values:
    """Return the logit with half a vote added to each side, so that it is always finite."""
    part, whole = sums
    return np.log((part + HALF) / (whole - part + HALF))


def interval(
    sums: Values, statistic: Statistic, resampling: Resampling = DEFAULT
) -> tuple[float, float, str]:
    """Return bounds for a statistic of sums over clusters, sums (D, K), and the method.

    nan where there is one cluster, where leaving any one out changes nothing, and where so many
    resamples have no value or no error that the bounds would rest on them.
    """
    clusters = sums.shape[1]
    value = float(statistic(sums.sum(axis=1)))
    if clusters < 2 or not np.isfinite(value):
        return np.nan, np.nan, NONE
    error = float(jackknife_error(sums, statistic))
    if not error > 0:
        return np.nan, np.nan, NONE
    if clusters < FEWEST_TO_RESAMPLE:
        low, high = value + error * stats.t.ppf(resampling.tails, clusters - 1)
        return float(low), float(high), STUDENT
    drawn = weights(clusters, resampling.resamples, resampling.seed)
    distances = _studentised(sums, statistic, drawn, value)
    below, above = quantiles(distances, resampling)
    if np.isnan(below):
        return np.nan, np.nan, NONE
    return float(value - error * above), float(value - error * below), BOOTSTRAP


def quantiles(drawn: Values, resampling: Resampling) -> tuple[float, float]:
    """Return the lower and upper quantile of what resamples gave, (B,), at the chances of `tails`.

    A resample without a value, nan, may lie anywhere, so on both sides it counts as the farthest.
    nan, both, where one of the quantiles would rest on such resamples.
    """
    unknown, (lower, upper) = np.isnan(drawn), resampling.tails
    # No interpolation: a resample without any spread may lie infinitely far away.
    low = np.quantile(np.where(unknown, -np.inf, drawn), lower, method="inverted_cdf")
    high = np.quantile(np.where(unknown, np.inf, drawn), upper, method="inverted_cdf")
    if unknown.any() and not np.isfinite([low, high]).all():
        return np.nan, np.nan
    return float(low), float(high)


def jackknife_error(sums: Values, statistic: Statistic) -> Values:
    """Return the standard error by leaving out one cluster after the other, (D, K) to ()."""
    clusters = sums.shape[1]
    without = statistic(sums.sum(axis=1, keepdims=True) - sums)
    spread = ((without - without.mean()) ** 2).sum()
    return np.sqrt((clusters - 1) / clusters * spread)


@lru_cache(maxsize=8)
def weights(clusters: int, resamples: int, seed: int) -> Values:
    """Draw how often each resample contains each cluster: (B, K), read-only, cached."""
    drawn = np.random.default_rng(seed).integers(0, clusters, (resamples, clusters))
    flat = (drawn + clusters * np.arange(resamples)[:, None]).reshape(-1)
    counts = np.bincount(flat, minlength=resamples * clusters)
    counts_by_resample = counts.reshape(resamples, clusters).astype(np.float64)
    counts_by_resample.flags.writeable = False
    return counts_by_resample


def _studentised(sums: Values, statistic: Statistic, drawn: Values, value: float) -> Values:
    """Return (value of a resample - value) / its standard error, for each resample: (B,)."""
    rows = max(1, CHUNK // sums.size)
    parts = [_studentised_chunk(sums, statistic, drawn[start : start + rows], value)
             for start in range(0, len(drawn), rows)]
    return np.concatenate(parts)


def _studentised_chunk(
    sums: Values, statistic: Statistic, drawn: Values, value: float
) -> Values:
    clusters = sums.shape[1]
    totals = sums @ drawn.T
    # Leaving out a cluster that was drawn twice takes one of the two away, and of one that was not
    # drawn nothing; its weight below is 0.
    without = statistic(totals[:, :, None] - sums[:, None] * (drawn > 0))
    mean = (drawn * without).sum(axis=1) / clusters
    spread = (drawn * (without - mean[:, None]) ** 2).sum(axis=1)
    errors = np.sqrt((clusters - 1) / clusters * spread)
    away = statistic(totals) - value
    far = np.copysign(np.inf, away)
    far[away == 0] = 0.0
    far[np.isnan(away) | np.isnan(errors)] = np.nan
    return np.divide(away, errors, out=far, where=errors > 0)


def exact_binomial(value: float, clusters: int, resampling: Resampling = DEFAULT) -> Estimate:
    """Return a share seen in `clusters` independent draws with Clopper and Pearson's interval."""
    (lower, upper), hits = resampling.tails, value * clusters
    low = stats.beta.ppf(lower, hits, clusters - hits + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(upper, hits + 1, clusters - hits) if hits < clusters else 1.0
    return Estimate(value, float(low), float(high), clusters, EXACT)
