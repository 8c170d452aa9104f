"""Compute the hours and cost of a study, and the differences that it can detect.

Votes on one pair, and on one image, agree more than votes on different images do. So N votes
tell as much as N / design effect independent ones (Kish 1965).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from motifocal._moved import renamed_arguments

LEVEL = 0.05
WANTED_POWER = 0.8
#: Correlation of two votes on one pair, and of two votes on different pairs of one image. Our
#: assumption: with it an interval over votes covers some 80 % in the paper's design.
PAIR_CORRELATION, IMAGE_CORRELATION = 0.15, 0.05


@dataclass(frozen=True)
class Plan:
    """The cost and power of a study. Shares are those of votes for ours, in [0, 1].

    `smallest_share` would just be significant at 5 % by the sign-flip test over images,
    `detectable_share` is the true share that is found 80 % of the time, `power` the chance that
    `true_share` is: the first number if Holm must take this comparison first (hardest, when no
    other is significant), the second if last. nan where no outcome could be significant.
    """

    judgements: int
    gold_judgements: int
    hours: float
    cost: float
    design_effect: float
    standard_error: float
    true_share: float
    smallest_share: tuple[float, float]
    detectable_share: tuple[float, float]
    power: tuple[float, float]


@renamed_arguments(pictures="images", picture_correlation="image_correlation")
def plan(
    pairs: int = 320, models: int = 9, votes: int = 5, *, wage: float = 12.0,
    seconds_per_judgement: float = 25.0, true_share: float = 0.6, gold: float = 0.1,
    images: int = 88, sizes: Sequence[int] | None = None,
    pair_correlation: float = PAIR_CORRELATION, image_correlation: float = IMAGE_CORRELATION,
    level: float = LEVEL,
) -> Plan:  # fmt: skip
    """Plan a study in which every pair of `models` comparisons gets `votes` judgements.

    `wage` is per hour, `gold` how many gold items are shown for each real one. `sizes` are the
    numbers of pairs of each image; without them the pairs are spread over `images` evenly. Raises
    ValueError for numbers out of range.
    """
    if sizes is None:
        _at_least(1, pairs=pairs, images=images)
        sizes = [pairs // images + (k < pairs % images) for k in range(min(pairs, images))]
    _check(pairs, sizes, level, true_share, pair_correlation, image_correlation)
    _at_least(1, models=models, votes=votes)
    _at_least(0, wage=wage, seconds_per_judgement=seconds_per_judgement, gold=gold)
    judgements = pairs * models * votes
    extra = round(judgements * gold)
    hours = (judgements + extra) * seconds_per_judgement / 3600
    effect = design_effect(sizes, votes, pair_correlation, image_correlation)
    independent = pairs * votes / effect
    error = float(np.sqrt(true_share * (1 - true_share) / independent))
    hardest, easiest = (_critical(level / tests, len(sizes)) for tests in (models, 1))
    reach = stats.norm.ppf(WANTED_POWER)
    return Plan(
        judgements=judgements, gold_judgements=extra, hours=hours, cost=hours * wage,
        design_effect=effect, standard_error=error, true_share=true_share,
        smallest_share=(_share_at(hardest, independent), _share_at(easiest, independent)),
        detectable_share=(_share_at(hardest + reach, independent),
                          _share_at(easiest + reach, independent)),
        power=(_power(true_share, error, hardest), _power(true_share, error, easiest)),
    )  # fmt: skip


@renamed_arguments(picture_correlation="image_correlation")
def design_effect(
    sizes: Sequence[int], votes: int, pair_correlation: float, image_correlation: float
) -> float:
    """Return how many times more votes are needed than if all were independent.

    1 + (v - 1) r_pair + v (m - 1) r_image, where m, the number of pairs on an image as a pair
    meets it, is sum(m_k^2) / sum(m_k) over images k.
    """
    pairs = np.asarray(sizes, dtype=np.float64)
    met = float((pairs**2).sum() / pairs.sum())
    return 1 + (votes - 1) * pair_correlation + votes * (met - 1) * image_correlation


def _critical(level: float, images: int) -> float:
    """Return how many standard errors from a half a share must be for the sign-flip test.

    The test takes the spread of the leads around 0, not around their mean, which grows with the
    lead itself: z becomes z / sqrt(1 - z^2 / K).
    """
    z = stats.norm.isf(level / 2)
    return float(z / np.sqrt(1 - z**2 / images)) if z**2 < images else np.nan


def _share_at(errors: float, independent: float) -> float:
    """Return the share that is so many of its own standard errors above a half."""
    ratio = errors**2 / independent
    return float(0.5 + np.sqrt(ratio / (1 + ratio)) / 2)


def _power(share: float, error: float, bound: float) -> float:
    """Return P(the estimated share is beyond the bound on either side)."""
    lead = (share - 0.5) / error
    return float(stats.norm.sf(bound - lead) + stats.norm.cdf(-bound - lead))


def _check(
    pairs: int, sizes: Sequence[int], level: float, true_share: float, pair_correlation: float,
    image_correlation: float,
) -> None:  # fmt: skip
    if sum(sizes) != pairs or min(sizes, default=0) < 1:
        raise ValueError(f"sizes should be at least 1 and add up to {pairs}, got {list(sizes)}")
    if not 0 < true_share < 1 or not 0 < level < 1:
        raise ValueError(f"true_share and level should lie between 0 and 1, got {true_share} and "
                         f"{level}")
    if not 0 <= image_correlation <= pair_correlation <= 1:
        raise ValueError("correlations should be 0 <= image <= pair <= 1, got "
                         f"{image_correlation} and {pair_correlation}")


def _at_least(least: float, **values: float) -> None:
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"{name} should be at least {least}, got {value}")
