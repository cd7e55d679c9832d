"""Mean and variance of the Gaussian policy from the network's outputs, in two forms.

The paper's (§9): the mean is the output itself, the variance the softplus of another. Bounded, as the Control Suite's
own A3C has them (Tassa et al. 2018): the mean is in [-1, 1], as most of the suite's actions are, and the variance in
[0.01, 2.01], so that neither runs away to where no noise changes the action any more. Whatever the bounds of the
actions are: where these are wider, only the noise reaches beyond 1.
"""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from a3crepro.common.kernels import kernel

LEAST_VARIANCE = 1e-6
"""Added to softplus(x), which float32 rounds to 0 below x = -104: σ is at least 0.001 (docs/deviations.md)."""
LOW, RANGE = 0.01, 2.0
"""The bounded variance is LOW + RANGE / (1 + e^-x)."""


def mean_and_variance(mean: Tensor, raw_variance: Tensor, bounded: bool) -> tuple[Tensor, Tensor]:
    """μ and σ² of the outputs of these two heads."""
    if bounded:
        return mean.tanh(), LOW + RANGE * torch.sigmoid(raw_variance)
    return mean, softplus(raw_variance) + LEAST_VARIANCE


@kernel("float64(float64)", fastmath=False)
def logistic(x):
    """1 / (1 + e^-x), without overflow."""
    return 1 / (1 + np.exp(-x)) if x >= 0 else np.exp(x) / (1 + np.exp(x))


@kernel("float64(float64, boolean)", fastmath=False)
def variance_of(x, bounded):
    """σ², without overflow."""
    if bounded:
        return LOW + RANGE * logistic(x)
    return max(x, 0.0) + np.log1p(np.exp(-abs(x))) + LEAST_VARIANCE


@kernel("float64(float64, boolean)", fastmath=False)
def slope_of(x, bounded):
    """Its derivative."""
    y = logistic(x)
    return RANGE * y * (1 - y) if bounded else y


@kernel("float64(float64, boolean)", fastmath=False)
def mean_of(x, bounded):
    """μ."""
    return np.tanh(x) if bounded else x
