"""Mean μ and variance σ² of the Gaussian policy, from the outputs of the heads `mean` and `raw_variance`.

Unbounded, as in the paper (§9): μ is the output itself, σ² the softplus of the raw variance. Bounded, as in the Control
Suite's own A3C (Tassa et al. 2018): μ is in [-1, 1] and σ² in [0.01, 2.01], so that noise always changes the action.
These bounds do not depend on the action space: where it is wider, only noise reaches beyond [-1, 1].
"""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from a3crepro.common.kernels import kernel

MIN_VARIANCE = 1e-6
"""Added to softplus(x), which float32 rounds to 0 below x = -104; σ is at least 0.001 (docs/deviations.md)."""
LOW, RANGE = 0.01, 2.0
"""The bounded variance is LOW + RANGE / (1 + e^-x)."""


def mean_and_variance(mean: Tensor, raw_variance: Tensor, bounded: bool) -> tuple[Tensor, Tensor]:
    """μ and σ² from the outputs of the two heads, [T, n] and [T, 1 or n]."""
    if bounded:
        return mean.tanh(), LOW + RANGE * torch.sigmoid(raw_variance)
    return mean, softplus(raw_variance) + MIN_VARIANCE


@kernel("float64(float64)", fastmath=False)
def logistic(x):
    """1 / (1 + e^-x), without overflow."""
    return 1 / (1 + np.exp(-x)) if x >= 0 else np.exp(x) / (1 + np.exp(x))


@kernel("float64(float64, boolean)", fastmath=False)
def variance_of(x, bounded):
    """σ² for the raw variance x, without overflow."""
    if bounded:
        return LOW + RANGE * logistic(x)
    return max(x, 0.0) + np.log1p(np.exp(-abs(x))) + MIN_VARIANCE


@kernel("float64(float64, boolean)", fastmath=False)
def slope_of(x, bounded):
    """∂σ²/∂x."""
    y = logistic(x)
    return RANGE * y * (1 - y) if bounded else y


@kernel("float64(float64, boolean)", fastmath=False)
def mean_of(x, bounded):
    """μ for the output x."""
    return np.tanh(x) if bounded else x
