"""Derivatives of the losses in `losses.py` with respect to the network's outputs, in closed form.

They equal autograd's (`tests/test_mathematics.py`), and take a hundredth of the time.
"""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

import numpy as np

from a3crepro.common.kernels import inner, kernel
from a3crepro.mathematics.variance import mean_of, slope_of, variance_of


@kernel("float32[:,::1](float32[:,:], int64[::1], float32[::1])")
def q_gradient(q_tm1, a_tm1, target):
    """∂/∂Q(s, ·) of Σ (y − Q(s, a))²: 2 (Q − y) for the action taken, [T, actions]."""
    gradient = np.zeros(q_tm1.shape, np.float32)
    for t in range(len(a_tm1)):
        gradient[t, a_tm1[t]] = 2 * (q_tm1[t, a_tm1[t]] - target[t])
    return gradient


@inner()
def log_softmax(logits, log_pi):
    """Sets log_pi to log π of one state, and returns the entropy of π."""
    highest, total, entropy = logits[0], np.float32(0), np.float32(0)
    for i in range(len(logits)):
        highest = max(highest, logits[i])
    for i in range(len(logits)):
        total += np.exp(logits[i] - highest)
    for i in range(len(logits)):
        log_pi[i] = logits[i] - highest - np.log(total)
        entropy -= np.exp(log_pi[i]) * log_pi[i]
    return entropy


@kernel("float32[:,::1](float32[:,:], int64[::1], float32[:], float32)")
def policy_gradient(logits, a_tm1, advantage, entropy_beta):
    """∂/∂z of −Σ [log π(a|s) · advantage + β H], [T, actions].

    ∂/∂z_i = (π_i − [i = a]) · advantage + β π_i (log π_i + H)
    """
    gradient, log_pi = np.empty(logits.shape, np.float32), np.empty(logits.shape[1], np.float32)
    for t in range(len(a_tm1)):
        entropy = log_softmax(logits[t], log_pi)
        for i in range(len(log_pi)):
            pi, chosen = np.exp(log_pi[i]), np.float32(i == a_tm1[t])
            gradient[t, i] = (pi - chosen) * advantage[t] + entropy_beta * pi * (log_pi[i] + entropy)
    return gradient


@kernel("float32(float32[:,:])")
def mean_entropy(logits):
    """Mean of H(π(·|s)) over the states of a rollout, in nats."""
    total, log_pi = np.float32(0), np.empty(logits.shape[1], np.float32)
    for t in range(len(logits)):
        total += log_softmax(logits[t], log_pi)
    return total / np.float32(len(logits))


@kernel(
    "Tuple((float32[:,::1], float32[:,::1]))(float32[:,:], float32[:,:], float32[:,::1], float32[:], float32, boolean)",
    fastmath=False,
)
def gaussian_policy_gradient(mean, raw_variance, a_tm1, advantage, entropy_cost, bounded):
    """∂/∂ both heads of −Σ [log N(a; μ, σ²) · advantage + c ½ (log 2πσ² + 1)], [T, n] and [T, 1 or n].

    With z = (a − μ) / σ: ∂/∂μ_i = −advantage z_i / σ_i, ∂/∂σ²_i = (advantage (1 − z_i²) − c / n) / (2 σ²_i), summed
    over the components that share a variance. `variance.py` computes μ and σ² from the heads.
    """
    d_mean, d_raw_variance = np.empty(mean.shape, np.float32), np.zeros(raw_variance.shape, np.float32)
    n, variances = mean.shape[1], raw_variance.shape[1]
    for t in range(len(mean)):
        for j in range(variances):
            x = np.float64(raw_variance[t, j])
            variance, total = variance_of(x, bounded), -np.float64(entropy_cost) / variances
            for i in range(n) if variances == 1 else range(j, j + 1):
                center = mean_of(np.float64(mean[t, i]), bounded)
                away = np.float64(a_tm1[t, i]) - center
                d_mean[t, i] = -advantage[t] * away / variance * (1 - center * center if bounded else 1.0)
                total += advantage[t] * (1 - away * away / variance)
            d_raw_variance[t, j] = total / (2 * variance) * slope_of(x, bounded)
    return d_mean, d_raw_variance


@kernel("float32(float32[:,:], boolean)", fastmath=False)
def gaussian_mean_entropy(raw_variance, bounded):
    """Mean of ½ (log 2πσ² + 1) over the states and components of a rollout, in nats."""
    total = 0.0
    for t in range(len(raw_variance)):
        for x in raw_variance[t]:
            total += 0.5 * (np.log(2 * np.pi * variance_of(np.float64(x), bounded)) + 1)
    return np.float32(total / raw_variance.size)
