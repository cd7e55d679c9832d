"""Adam (Kingma and Ba 2015) with shared statistics; not in the paper."""

import math
from typing import ClassVar

import numpy as np

from a3crepro.common.config_model import PositiveFloat, ProperFraction
from a3crepro.common.kernels import kernel
from a3crepro.optimizers._optimizer import Optimizer, Statistics


@kernel("void(f4[::1], f4[::1], f4[::1], f4[::1], f4, f4, f4, f4, f4)")
def adam_update(theta, gradient, m, v, step_size, root, beta1, beta2, epsilon):  # type: ignore[no-untyped-def]
    """m ← β₁m + (1 − β₁)Δθ; v ← β₂v + (1 − β₂)Δθ²; θ ← θ − step_size · m/(√v / root + ε)."""
    for i in range(theta.size):
        m[i] = beta1 * m[i] + (np.float32(1.0) - beta1) * gradient[i]
        v[i] = beta2 * v[i] + (np.float32(1.0) - beta2) * gradient[i] * gradient[i]
        theta[i] -= step_size * m[i] / (math.sqrt(v[i]) / root + epsilon)


class Adam(Optimizer):
    """Adam whose m and v all actor-learners share, without locks, as in `pytorch-a3c`."""

    statistics: ClassVar[tuple[str, ...]] = ("m", "v")
    shares_statistics: ClassVar[bool] = True

    beta1: ProperFraction
    """β₁, decay of the running mean of gradients."""
    beta2: ProperFraction
    """β₂, decay of the running mean of squared gradients."""
    epsilon: PositiveFloat
    """ε, added to the root of v."""

    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, statistics: Statistics, learning_rate: float, step: int
    ) -> None:
        m, v = statistics
        step_size, root = learning_rate / (1 - self.beta1**step), math.sqrt(1 - self.beta2**step)
        adam_update(parameters, gradient, m, v, step_size, root, self.beta1, self.beta2, self.epsilon)
