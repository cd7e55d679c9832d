"""The variance of the Gaussian policy, as the softplus of the network's output (§9)."""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from __future__ import annotations

import numpy as np

from a3crepro.kernels import kernel

LEAST_VARIANCE = 1e-6
"""Added to softplus(x), which float32 rounds to 0 below x = -104: σ is at least 0.001 (README, deviations)."""


@kernel("float64(float64)", fastmath=False)
def variance_of(x):
    """softplus(x) + a least variance, without overflow."""
    return max(x, 0.0) + np.log1p(np.exp(-abs(x))) + LEAST_VARIANCE


@kernel("float64(float64)", fastmath=False)
def slope_of(x):
    """Its derivative: the logistic function."""
    return 1 / (1 + np.exp(-x)) if x >= 0 else np.exp(x) / (1 + np.exp(x))
