"""Measure how reliable a judge's probabilities are, on clips where the truth is known.

Letters: Q questions, K clusters (images), R resamples, M bins.

Intervals are 95 % percentile bootstraps over images. A failure is a wrong answer in the accuracy,
is counted, and has no part in what needs a probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from motifocal.metrics import RESAMPLES, MeanInterval

BINS = 10
SAYS_YES = 0.5  # P(yes) from which an answer counts as yes
NEAREST = 1e-6  # of a probability to 0 and 1, before its logit is taken
FEWEST = 2  # images of which there is an interval
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What a judge's answers to Q questions are worth.

    accuracy: share answered rightly, failures being wrong; auc: the probability that a true
    statement gets more than a false one; error: the expected calibration error over ten bins of
    P(yes); bias: the share of yes less the share of true statements; yes: the share of yes. nan
    where there is nothing to measure.
    """

    questions: int
    images: int
    failures: int
    true: float
    accuracy: MeanInterval
    auc: MeanInterval
    error: MeanInterval
    bias: MeanInterval
    yes: MeanInterval


@dataclass(frozen=True)
class Bin:
    """One bin of the reliability curve: answers, their mean P(yes), the share that is true."""

    count: int
    mean: float
    true: float


def calibrate(
    probability: Array, truth: npt.NDArray[np.bool_], images: Sequence[str], seed: int = 0
) -> Calibration:
    """Measure answers: P(yes) (Q,), nan for failures, what is true (Q,), the image of each (Q,).

    Raises ValueError for no questions or lengths that differ.
    """
    if not len(probability) or not len(probability) == len(truth) == len(images):
        raise ValueError("there should be as many probabilities, truths and images, at least one, "
                         f"got {len(probability)}, {len(truth)} and {len(images)}")
    names, cluster = np.unique(images, return_inverse=True)
    there = np.isfinite(probability)
    says_yes = np.where(there, probability >= SAYS_YES, False)
    right = (says_yes == truth) & there

    def sums(values: Array) -> Array:
        return np.bincount(cluster, values, len(names)).astype(np.float64)

    weights = _weights(len(names), seed)
    counts = sums(np.ones(len(truth)))
    answered = sums(there.astype(np.float64))
    accuracy = _ratio(sums(right.astype(np.float64)), counts)
    yes = _ratio(sums(says_yes.astype(np.float64)), answered)
    bias = _ratio(sums((says_yes.astype(np.float64) - truth) * there), answered)
    auc = _auc(probability[there], truth[there], cluster[there], len(names))
    error = _error(probability[there], truth[there], cluster[there], len(names))
    of = [_interval(measure, weights) for measure in (accuracy, auc, error, bias, yes)]
    return Calibration(len(truth), len(names), int((~there).sum()), float(truth.mean()), *of)


def _weights(images: int, seed: int) -> Array:
    """Return how often each image is drawn, (R, K), all once in the first row."""
    once = np.ones((1, images))
    if images < FEWEST:
        return once
    draws = np.random.default_rng(seed).multinomial(
        images, np.full(images, 1 / images), size=RESAMPLES)
    return np.concatenate([once, draws])


def _interval(measure: Callable[[Array], Array], weights: Array) -> MeanInterval:
    values = measure(weights)
    drawn = values[1:][np.isfinite(values[1:])]
    if not len(drawn):
        return MeanInterval(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return MeanInterval(float(values[0]), float(low), float(high))


def _divide(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def _ratio(part: Array, whole: Array) -> Callable[[Array], Array]:
    return lambda weights: _divide(weights @ part, weights @ whole)


def _auc(
    probability: Array, truth: npt.NDArray[np.bool_], cluster: npt.NDArray[np.int64], images: int
) -> Callable[[Array], Array]:
    """Return the AUC as a function of the images' weights: (R, K) to (R,)."""
    owns = np.eye(images)[cluster]  # (Q, K)
    positive, negative = owns[truth], owns[~truth]
    wins = (np.sign(probability[truth][:, None] - probability[~truth][None]) + 1) / 2
    by_images = positive.T @ (wins @ negative)  # (K, K)

    def measure(weights: Array) -> Array:
        top = ((weights @ by_images) * weights).sum(axis=1)
        return _divide(top, (weights @ positive.sum(axis=0)) * (weights @ negative.sum(axis=0)))

    return measure


def _bins(probability: Array) -> npt.NDArray[np.int64]:
    return np.minimum((probability * BINS).astype(np.int64), BINS - 1)


def _error(
    probability: Array, truth: npt.NDArray[np.bool_], cluster: npt.NDArray[np.int64], images: int
) -> Callable[[Array], Array]:
    """Return the expected calibration error as a function of the images' weights."""
    gaps = np.zeros((images, BINS))
    np.add.at(gaps, (cluster, _bins(probability)), probability - truth)
    counts = np.bincount(cluster, minlength=images).astype(np.float64)
    return lambda weights: _divide(np.abs(weights @ gaps).sum(axis=1), weights @ counts)


def reliability(probability: Array, truth: npt.NDArray[np.bool_]) -> list[Bin]:
    """Return the bins of the reliability curve that hold an answer, from 0 to 1."""
    there = np.isfinite(probability)
    probability, truth = probability[there], truth[there]
    places = _bins(probability)
    return [Bin(int((places == place).sum()), float(probability[places == place].mean()),
                float(truth[places == place].mean())) for place in np.unique(places)]


@dataclass(frozen=True)
class Platt:
    """sigmoid(slope * logit(p) + offset): probabilities brought to what is true (Platt 1999)."""

    slope: float
    offset: float

    def apply(self, probability: Array) -> Array:
        """Return the calibrated probabilities; nan stays nan."""
        return 1 / (1 + np.exp(-(self.slope * _logit(probability) + self.offset)))


def fit_platt(probability: Array, truth: npt.NDArray[np.bool_]) -> Platt:
    """Fit slope and offset by maximum likelihood to Platt's smoothed targets, by Newton's method.

    Raises ValueError unless there are answers to true and to false statements.
    """
    there = np.isfinite(probability)
    x, y = _logit(probability[there]), truth[there]
    positives, negatives = int(y.sum()), int((~y).sum())
    if not positives or not negatives:
        raise ValueError("Platt scaling needs answers to true and to false statements, got "
                         f"{positives} and {negatives}")
    targets = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([x, np.ones_like(x)], axis=1)
    beta = np.zeros(2)
    for _ in range(100):
        fitted = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (targets - fitted) - 1e-6 * beta
        weight = np.maximum(fitted * (1 - fitted), 1e-9)
        hessian = design.T @ (design * weight[:, None]) + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        beta += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return Platt(float(beta[0]), float(beta[1]))


def _logit(probability: Array) -> Array:
    clipped = np.clip(probability, NEAREST, 1 - NEAREST)
    return np.asarray(np.log(clipped / (1 - clipped)))
