"""Sums over the states of rollouts, from which the metrics of training are made.

Each function adds the states of a rollout to a vector, float64 [WIDTH], whose entries the constants name. States whose
outputs or returns are not finite are left out: their gradient is not applied either.
"""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

import math

import numpy as np

from a3crepro.common.kernels import inner, kernel
from a3crepro.mathematics.variance import mean_of, variance_of

# Of the value V(s) or Q(s, a): number of states; sums of the loss, the error R - V, its square, R, and its square.
VALUES, VALUE_LOSS, ERROR, SQUARED_ERROR, RETURN, SQUARED_RETURN = range(6)
# Of the policy: number of states; sums of the loss and of the entropy.
POLICIES, POLICY_LOSS, ENTROPY = range(6, 9)
# Sum of the gradient norms of updates, before clipping.
GRADIENT_NORM = 9
WIDTH = 16
"""Two cache lines, so that actor-learners do not write to the same one."""


@inner(fastmath=False)
def add_value(value, target, factor, sums):
    """Adds a state whose loss is factor · (target - value)²."""
    error = target - value
    sums[VALUES] += 1
    sums[VALUE_LOSS] += factor * error * error
    sums[ERROR] += error
    sums[SQUARED_ERROR] += error * error
    sums[RETURN] += target
    sums[SQUARED_RETURN] += target * target


@inner(fastmath=False)
def add_policy(log_pi, entropy, advantage, entropy_cost, sums):
    """Adds a state whose loss is -(log π(a|s) · advantage + entropy_cost · H)."""
    sums[POLICIES] += 1
    sums[POLICY_LOSS] -= log_pi * advantage + entropy_cost * entropy
    sums[ENTROPY] += entropy


@kernel("void(float32[:,:], int64[::1], float32[::1], float64[::1])", fastmath=False)
def add_q(q_tm1, a_tm1, target, sums):
    """Adds the states of a rollout of a value-based method, whose loss is (y - Q(s, a))².

    Args:
      q_tm1: Q(s_0, ·) … Q(s_{T-1}, ·), [T, actions].
      a_tm1: actions taken in these states, [T].
      target: the targets y, or the returns R, [T].
      sums: is added to, [WIDTH].
    """
    for t in range(len(a_tm1)):
        value, y = np.float64(q_tm1[t, a_tm1[t]]), np.float64(target[t])
        if math.isfinite(value + y):
            add_value(value, y, 1.0, sums)


@kernel("void(float32[:,:], float32[:,:], int64[::1], float32[::1], float64, float64, float64[::1])", fastmath=False)
def add_softmax(logits, v_tm1, a_tm1, returns, entropy_beta, value_gradient, sums):
    """Adds the states of a rollout with a softmax policy; the losses are those of `losses.py`.

    Args:
      logits: of the policy in s_0 … s_{T-1}, [T, actions].
      v_tm1: V(s_0) … V(s_{T-1}), [T, 1].
      a_tm1: actions taken in these states, [T].
      returns: R of these states, [T].
      entropy_beta: weight β of the entropy in the loss of the policy.
      value_gradient: the factor c of the loss of the value.
      sums: is added to, [WIDTH].
    """
    for t in range(len(a_tm1)):
        highest, finite = logits[t, 0], np.float64(v_tm1[t, 0]) + np.float64(returns[t])
        for i in range(logits.shape[1]):
            highest = max(highest, logits[t, i])
            finite += logits[t, i]
        if not math.isfinite(finite):
            continue
        total = weighted = 0.0
        for i in range(logits.shape[1]):
            z = np.float64(logits[t, i] - highest)
            e = np.exp(z)
            total += e
            weighted += e * z
        log_pi = np.float64(logits[t, a_tm1[t]] - highest) - np.log(total)
        value, target = np.float64(v_tm1[t, 0]), np.float64(returns[t])
        add_value(value, target, 0.5 * value_gradient, sums)
        add_policy(log_pi, np.log(total) - weighted / total, target - value, entropy_beta, sums)


@kernel(
    "void(float32[:,:], float32[:,:], float32[:,:], float32[:,::1], float32[::1], float64, boolean, float64, "
    "float64[::1])",
    fastmath=False,
)
def add_gaussian(mean, raw_variance, v_tm1, a_tm1, returns, entropy_cost, bounded, value_gradient, sums):
    """Adds the states of a rollout with a Gaussian policy; the losses are those of `losses.py`.

    Args:
      mean: the outputs of this head, [T, n]; `variance.py` computes μ from them.
      raw_variance: the outputs of this head, [T, 1 or n], from which it computes σ².
      v_tm1: V(s_0) … V(s_{T-1}), [T, 1].
      a_tm1: actions drawn in these states, [T, n].
      returns: R of these states, [T].
      entropy_cost: weight of the entropy, a mean over the components, in the loss of the policy.
      bounded: see `variance.py`.
      value_gradient: the factor c of the loss of the value.
      sums: is added to, [WIDTH].
    """
    n, variances = mean.shape[1], raw_variance.shape[1]
    for t in range(len(mean)):
        log_pi = entropy = 0.0
        for i in range(n):
            variance = variance_of(np.float64(raw_variance[t, min(i, variances - 1)]), bounded)
            away = np.float64(a_tm1[t, i]) - mean_of(np.float64(mean[t, i]), bounded)
            log_pi -= 0.5 * (away * away / variance + np.log(2 * np.pi * variance))
            entropy += 0.5 * (np.log(2 * np.pi * variance) + 1) / n
        value, target = np.float64(v_tm1[t, 0]), np.float64(returns[t])
        if math.isfinite(log_pi + entropy + value + target):
            add_value(value, target, 0.5 * value_gradient, sums)
            add_policy(log_pi, entropy, target - value, entropy_cost, sums)
