"""Momentum SGD with separate momentum for each actor-learner (§7)."""

from typing import ClassVar

import numpy as np

from a3crepro.common.config_model import Fraction
from a3crepro.common.kernels import kernel
from a3crepro.optimizers._optimizer import Optimizer, Statistics


@kernel("void(f4[::1], f4[::1], f4[::1], f4, f4)")
def momentum_update(theta, gradient, momentum, learning_rate, alpha):  # type: ignore[no-untyped-def]
    """mᵢ ← αmᵢ + (1 − α)Δθᵢ; θ ← θ − ηmᵢ (§7)."""
    for i in range(theta.size):
        momentum[i] = alpha * momentum[i] + (np.float32(1.0) - alpha) * gradient[i]
        theta[i] -= learning_rate * momentum[i]


class MomentumSGD(Optimizer):
    """Stochastic gradient descent with momentum; each actor-learner has its own m."""

    statistics: ClassVar[tuple[str, ...]] = ("m",)
    shares_statistics: ClassVar[bool] = False

    alpha: Fraction
    """α, decay of the running mean of gradients."""

    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, statistics: Statistics, learning_rate: float, step: int
    ) -> None:
        momentum_update(parameters, gradient, statistics[0], learning_rate, self.alpha)
