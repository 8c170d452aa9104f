"""The published trainers' densities of the noise level, in closed form, from their sources.

Each is P(sigma <= x) for x in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Numbers = NDArray[np.float64]
Distribution = Callable[[Numbers], Numbers]


def ltx_cdf(tokens: int) -> Distribution:
    """Lightricks/LTX-2, ltx-trainer's timestep_samplers.py, ShiftedLogitNormalTimestepSampler."""
    mean = 0.95 + (min(tokens, 4096) - 1024) * (2.05 - 0.95) / (4096 - 1024)
    least, most = (1 / (1 + np.exp(-mean - stats.norm.ppf(q))) for q in (0.005, 0.999))

    def stretched(x: Numbers) -> Numbers:
        """P((sigmoid(N(mean, 1)) - least) / (most - least) <= x)."""
        inner = np.clip(least + (most - least) * x, 0, 1)
        with np.errstate(divide="ignore"):
            return np.asarray(stats.norm.cdf(np.log(inner) - np.log1p(-inner) - mean))

    def mixed(x: Numbers) -> Numbers:
        # What lies below 0.001 is reflected there; what lies above 1 is 1.
        reflected = np.where(x >= 1, 1, stretched(x) - stretched(2e-3 - x))
        uniform = (x - 1e-3) / (1 - 1e-3)
        return 0.9 * reflected + 0.1 * np.clip(uniform, 0, 1)

    return mixed


def shifted_logit_normal_cdf(shift: float) -> Distribution:
    """sigmoid(N(0, 1)), then s x / (1 + (s - 1) x).

    Tencent's HunyuanVideo-I2V (hyvideo/diffusion/flow/transport.py: `lognorm`, --flow-reverse,
    --flow-shift 7), HunyuanVideo-1.5 (train.py: train_timestep_shift 3), Kandinsky 5's trainer
    (scheduler_scale 5).
    """

    def cdf(x: Numbers) -> Numbers:
        before = x / (shift - (shift - 1) * x)
        with np.errstate(divide="ignore"):
            return np.asarray(stats.norm.cdf(np.log(before) - np.log1p(-before)))

    return cdf
