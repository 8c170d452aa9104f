"""Compare arms of an experiment on the same images and seeds, with 95 % intervals.

Letters: S seeds, P images, T steps.

Two arms that share seed, image and prompt differ by the arm alone, so differences are taken pair by
pair. Seeds and images are both drawn at random, and an interval should hold for others of both: the
variance of a mean over S x P cells is the two-way clustered one of Cameron, Gelbach and Miller
(2011), over seeds plus over images minus over single cells, which the first two count twice. The
quantile is Student's t with Satterthwaite's degrees of freedom: with five seeds the normal one, or
the percentile bootstrap over seeds, is too short. A bootstrap that draws seeds and images
independently counts the variance of single cells three times and would be far too long here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True)
class Cells:
    """Sums over the prompts of each image, for every seed.

    `sums` (S, P) of a measure; `counts` (P,), the prompts of each image, the same for all seeds.
    """

    sums: Values
    counts: Values

    def __post_init__(self) -> None:
        if self.sums.ndim != 2 or self.counts.shape != self.sums.shape[1:]:
            raise ValueError(f"sums should be (S, P) and counts (P,), got {self.sums.shape} "
                             f"and {self.counts.shape}")
        if not (self.counts > 0).all():
            raise ValueError("counts should be above 0")

    def mean(self) -> float:
        """Return the mean over all prompts and seeds."""
        return float(self.sums.sum() / (len(self.sums) * self.counts.sum()))

    def minus(self, other: Cells) -> Cells:
        """The differences, cell by cell. ValueError where seeds or prompts are not the same."""
        same = self.sums.shape == other.sums.shape and np.array_equal(self.counts, other.counts)
        if not same:
            raise ValueError(f"cells should be the same, got {self.sums.shape} and "
                             f"{other.sums.shape}")
        return Cells(self.sums - other.sums, self.counts)


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; nan where nothing can be said."""

    value: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Return whether the interval does not hold `value`."""
        return bool(value < self.low or value > self.high)


def two_way_interval(cells: Cells) -> Interval:
    """Return the mean over cells with its 95 % interval over seeds and images.

    With one seed the interval is over images alone: it says nothing of other seeds. With one image
    the bounds are nan.
    """
    value = cells.mean()
    seeds, images = cells.sums.shape
    if images < 2:
        return Interval(value, float("nan"), float("nan"))
    away = (cells.sums - value * cells.counts) / (seeds * cells.counts.sum())
    over_images = images / (images - 1) * float(np.square(away.sum(0)).sum())
    if seeds == 1:
        return _student(value, over_images, images - 1)
    over_seeds = seeds / (seeds - 1) * float(np.square(away.sum(1)).sum())
    single = away.size / (away.size - 1) * float(np.square(away).sum())
    # The difference is an estimate: by chance it may come out too small, even negative.
    variance = max(over_seeds + over_images - single, over_seeds, over_images)
    spread = over_seeds**2 / (seeds - 1) + over_images**2 / (images - 1)
    return _student(value, variance, variance**2 / spread if spread > 0 else seeds - 1)


def _student(value: float, variance: float, freedom: float) -> Interval:
    from scipy import stats

    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * float(np.sqrt(variance))
    return Interval(value, value - half, value + half)


def first_crossing(steps: Values, curve: Values, level: float) -> float:
    """The first step at which a curve over `steps` (T,) reaches `level`; nan where it never does.

    Linear between points; a curve that begins above the level reached it at its first point.
    """
    above = np.flatnonzero(curve >= level)
    if not len(above):
        return float("nan")
    k = int(above[0])
    if k == 0:
        return float(steps[0])
    part = (level - curve[k - 1]) / (curve[k] - curve[k - 1])
    return float(steps[k - 1] + part * (steps[k] - steps[k - 1]))


def crossing_ratio(
    steps: Values, ours: Values, theirs: Values, counts: Values, level: float
) -> Interval:
    """Steps that `ours` takes to reach `level` over those that `theirs` takes: below 1 is sooner.

    `ours` and `theirs` (S, T, P) are sums over the prompts of each image. The interval is made on
    the logarithm: the delete-one jackknife over seeds plus that over images, which is somewhat too
    long, since both hold the variance of single cells. nan where a mean curve never gets there, or
    is there at step 0, and bounds of nan where it is so in a jackknife sample.
    """
    seeds, _, images = ours.shape

    def log_ratio(keep_seeds: npt.NDArray[np.int64], keep_images: npt.NDArray[np.int64]) -> float:
        total = len(keep_seeds) * counts[keep_images].sum()
        curves = (x[keep_seeds][:, :, keep_images].sum((0, 2)) / total for x in (ours, theirs))
        a, b = (first_crossing(steps, curve, level) for curve in curves)
        return float(np.log(a / b)) if min(a, b) > 0 else float("nan")

    every_seed, every_image = np.arange(seeds), np.arange(images)
    value = log_ratio(every_seed, every_image)
    if images < 2 or np.isnan(value):
        return Interval(float(np.exp(value)), float("nan"), float("nan"))
    without_image = np.array([log_ratio(every_seed, np.delete(every_image, k))
                              for k in every_image])
    variance, freedom = _jackknife(without_image), images - 1
    if seeds > 1:
        without_seed = np.array([log_ratio(np.delete(every_seed, k), every_image)
                                 for k in every_seed])
        parts = _jackknife(without_seed), variance
        variance = sum(parts)
        spread = parts[0] ** 2 / (seeds - 1) + parts[1] ** 2 / (images - 1)
        freedom = variance**2 / spread if spread > 0 else seeds - 1
    inside = _student(value, variance, freedom)
    return Interval(*(float(np.exp(x)) for x in (inside.value, inside.low, inside.high)))


def _jackknife(values: Values) -> float:
    """Return the variance of an estimate from its values with one unit left out."""
    n = len(values)
    return float((n - 1) / n * np.square(values - values.mean()).sum())
