"""RMSProp with each actor-learner's own statistics (§7)."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from a3crepro.kernels import kernel
from a3crepro.optimizers._optimizer import Optimizer
from a3crepro.settings import Fraction, PositiveFloat


@kernel("void(f4[::1], f4[::1], f4[::1], f4, f4, f4)")
def rmsprop_update(theta, gradient, g, learning_rate, alpha, epsilon):  # type: ignore[no-untyped-def]
    """g ← αg + (1 − α)Δθ²; θ ← θ − ηΔθ/√(g + ε) (§4, equation S2: not centred, ε inside the root)."""
    for i in range(theta.size):
        g[i] = alpha * g[i] + (np.float32(1.0) - alpha) * gradient[i] * gradient[i]
        theta[i] -= learning_rate * gradient[i] / math.sqrt(g[i] + epsilon)


class RMSProp(Optimizer):
    """RMSProp, non-centred, without momentum; g is the actor-learner's own."""

    shares_statistics: ClassVar[bool] = False

    alpha: Fraction
    """Decay of the mean of squared gradients."""
    epsilon: PositiveFloat
    """Added to g inside the root."""

    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, statistics: np.ndarray, learning_rate: float
    ) -> None:
        rmsprop_update(parameters, gradient, statistics, learning_rate, self.alpha, self.epsilon)
