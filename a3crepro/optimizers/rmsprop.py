"""RMSProp with separate statistics for each actor-learner (§7)."""

# The kernels have signatures instead of annotations.
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

import math
from typing import ClassVar

import numpy as np

from a3crepro.common.config_model import Fraction, PositiveFloat
from a3crepro.common.kernels import kernel
from a3crepro.optimizers._optimizer import LargeWeight, Optimizer, Statistics, Step

F1, F2, I1 = "float32[::1]", "float32[:,::1]", "int32[::1]"


@kernel("void(f4[::1], f4[::1], f4[::1], f4, f4, f4)")
def rmsprop_update(theta, gradient, g, learning_rate, alpha, epsilon):
    """g ← αg + (1 − α)Δθ²; θ ← θ − ηΔθ/√(g + ε) (§4, equation S2: not centred, ε inside the root)."""
    for i in range(theta.size):
        g[i] = alpha * g[i] + (np.float32(1.0) - alpha) * gradient[i] * gradient[i]
        theta[i] -= learning_rate * gradient[i] / math.sqrt(g[i] + epsilon)


@kernel(f"void({F1}, {F1}, {F1}, int64[:,::1], float32, float32, float32, float32)")
def rmsprop_slices(theta, gradient, g, slices, clip, learning_rate, alpha, epsilon):
    """RMSProp for some slices, with the gradient clip · gradient, which is clipped in place."""
    for s in range(len(slices)):
        part = slice(slices[s, 0], slices[s, 1])
        for i in range(part.start, part.stop):
            gradient[i] *= clip
        rmsprop_update(theta[part], gradient[part], g[part], learning_rate, alpha, epsilon)


@kernel(f"void({F1}, {F1}, float32, {F1}, {F1}, {F2}, {F1}, float32, float32, float32)")
def rmsprop_row(theta, g, decay, rest, delta, inputs, new, learning_rate, alpha, epsilon):
    """RMSProp with the gradient rest + delta[:5] inputs[:5], for decay · g; also writes the new theta to `new`."""
    d0, d1, d2, d3, d4 = delta[0], delta[1], delta[2], delta[3], delta[4]
    for i in range(theta.size):
        step = (
            rest[i] + d0 * inputs[0, i] + d1 * inputs[1, i] + d2 * inputs[2, i] + d3 * inputs[3, i] + d4 * inputs[4, i]
        )
        square = alpha * decay * g[i] + (np.float32(1) - alpha) * step * step
        g[i] = square
        new[i] = theta[i] - learning_rate * step / np.sqrt(square + epsilon)
        theta[i] = new[i]


@kernel(f"void({F2}, {F2}, {F1}, {F2}, boolean, {I1}, {F2}, {F2}, float32, float32, float32, float32)")
def rmsprop_outer(theta, g, decay, copy, is_copied, writes, delta, inputs, clip, learning_rate, alpha, epsilon):
    """RMSProp for a weight with the gradient clip · deltaᵀ inputs; also writes changed rows to `copy`, if `is_copied`.

    `delta` [T, units] and `inputs` [T, n] have T ≥ 5.
    """
    units, n = theta.shape
    column, rest, new = np.empty(len(delta), np.float32), np.zeros(n, np.float32), np.empty(n, np.float32)
    for unit in range(units):
        has_gradient = False
        for t in range(len(column)):
            column[t] = delta[t, unit] * clip
            has_gradient |= column[t] != 0
        if not has_gradient:  # a rectified unit that was 0 in every state
            decay[unit] *= alpha
            continue
        for t in range(5, len(column)):
            for i in range(n):
                rest[i] = column[t] * inputs[t, i] + (rest[i] if t > 5 else np.float32(0))
        deferred, decay[unit] = decay[unit], 1
        rmsprop_row(theta[unit], g[unit], deferred, rest, column, inputs, copy[unit] if is_copied else new,
                    learning_rate, alpha, epsilon)  # fmt: skip
        writes[unit] += 1


class RMSProp(Optimizer):
    """RMSProp, non-centred, without momentum; each actor-learner has its own g."""

    statistics: ClassVar[tuple[str, ...]] = ("g",)
    shares_statistics: ClassVar[bool] = False
    is_fused: ClassVar[bool] = True

    alpha: Fraction
    """α, decay of the running mean of squared gradients."""
    epsilon: PositiveFloat
    """ε, added to g inside the root."""

    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, statistics: Statistics, learning_rate: float, step: int
    ) -> None:
        rmsprop_update(parameters, gradient, statistics[0], learning_rate, self.alpha, self.epsilon)

    def update_slices(
        self, parameters: np.ndarray, gradient: np.ndarray, statistics: np.ndarray, slices: np.ndarray, step: Step
    ) -> None:
        rmsprop_slices(parameters, gradient, statistics[0], slices, step.clip, step.learning_rate, self.alpha,
                       self.epsilon)  # fmt: skip

    def update_outer(self, large: LargeWeight, delta: np.ndarray, inputs: np.ndarray, step: Step) -> None:
        (g,) = large.statistics
        copy, is_copied = (large.weight, False) if large.copy is None else (large.copy, True)
        rmsprop_outer(large.weight, g, large.decay, copy, is_copied, large.writes, delta, inputs, step.clip,
                      step.learning_rate, self.alpha, self.epsilon)  # fmt: skip

    def share_above_epsilon(self, statistics: np.ndarray) -> float:
        return float((statistics[:, 0] > self.epsilon).mean())
