"""Test by sign flips over images which model is preferred; adjust p values of several models.

K images. If neither model were preferred, exchanging the two models' names in all votes on one
image would change nothing. So each image's lead may have either sign, and the test asks how
many of the 2^K ways to sign them give a total as large as the one seen. It assumes nothing else:
votes on one image may depend on each other in any way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOST_STEPS = 50_000_000  # additions for the exact distribution: about a tenth of a second
FLIPS = 99_999
CHUNK = 8_000_000
ROUNDING = 1e-9  # totals of leads that are no whole numbers may differ by this and be equal


@dataclass(frozen=True)
class SignFlip:
    """A two-sided p value, over how many images, and whether all sign patterns were counted."""

    p: float
    images: int
    exact: bool


def sign_flip(leads: npt.ArrayLike, seed: int = 0, *, flips: int = FLIPS) -> SignFlip:
    """Test whether images lead either way by chance; `leads` (K,) are votes won minus votes lost.

    Leads that are whole numbers give the exact p value, from the distribution of the total. Very
    large studies and other leads draw `flips` patterns by `seed`; then p = (1 + as large) / (1 +
    flips), which is never 0 (Phipson and Smyth 2010). Raises ValueError for no images or leads that
    are not finite.
    """
    values = np.asarray(leads, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"leads should be (K,) finite numbers, got {values}")
    sizes = np.abs(values[values != 0])
    total = abs(float(values.sum()))
    whole = bool((sizes == np.round(sizes)).all())
    if whole and len(sizes) * sizes.sum() <= MOST_STEPS:
        return SignFlip(_exact(sizes.astype(np.int64), round(total)), len(values), True)
    return SignFlip(_drawn(sizes, total, seed, flips), len(values), False)


def _exact(sizes: npt.NDArray[np.int64], total: int) -> float:
    """Return P(|sum of sizes with random signs| >= total)."""
    most = int(sizes.sum())
    chance = np.zeros(2 * most + 1)  # of each sum from -most to most
    chance[most] = 1.0
    for size in sizes:
        spread = np.zeros_like(chance)
        spread[size:] += chance[:-size] / 2
        spread[:-size] += chance[size:] / 2
        chance = spread
    sums = np.arange(-most, most + 1)
    return float(min(1.0, chance[np.abs(sums) >= total].sum()))


def _drawn(sizes: npt.NDArray[np.float64], total: float, seed: int, flips: int) -> float:
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // max(1, len(sizes)))
    as_large = 0
    for start in range(0, flips, rows):
        signs = rng.integers(0, 2, (min(rows, flips - start), len(sizes)), dtype=np.int8)
        sums = (2.0 * signs - 1) @ sizes
        as_large += int((np.abs(sums) >= total - ROUNDING * sizes.sum()).sum())
    return (1 + as_large) / (1 + flips)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for being several, by Holm (1979), in the order given.

    Raises ValueError for values outside [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p values should lie in [0, 1], got {list(p_values)}")
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    return [float(value) for value in adjusted]
