"""Losses, as pure functions of a rollout's outputs, actions and returns: sums over the rollout, not means.

Returns are constants: no gradient flows through a target or an advantage.
"""

import math

from torch import Tensor


def q_loss(q_tm1: Tensor, a_tm1: Tensor, target: Tensor) -> Tensor:
    """Σ (y − Q(s, a; θ))² (§4, Algorithms 1 and S2); its gradient is 2 (Q − y) ∇Q.

    Args:
      q_tm1: Q(s_0, ·) … Q(s_{T-1}, ·), [T, actions].
      a_tm1: actions taken in these states, int64 [T].
      target: the targets y, or the returns R, [T].
    """
    assert q_tm1.ndim == 2 and a_tm1.shape == target.shape == q_tm1.shape[:1]
    q = q_tm1.gather(1, a_tm1[:, None])[:, 0]
    return (target - q).square().sum()


def policy_entropy(logits: Tensor) -> Tensor:
    """H(π(·|s)) of each state, in nats, [T]."""
    log_pi = logits.log_softmax(1)
    return -(log_pi.exp() * log_pi).sum(1)


def policy_loss(logits: Tensor, a_tm1: Tensor, advantage: Tensor, entropy_beta: float) -> Tensor:
    """−Σ [log π(a|s) · advantage + β H(π(·|s))] (§4).

    Args:
      logits: of the softmax policy in s_0 … s_{T-1}, [T, actions].
      a_tm1: actions taken in these states, int64 [T].
      advantage: R − V(s), a constant, [T].
      entropy_beta: weight β of the entropy.
    """
    assert logits.ndim == 2 and a_tm1.shape == advantage.shape == logits.shape[:1]
    log_pi = logits.log_softmax(1).gather(1, a_tm1[:, None])[:, 0]
    return -(log_pi * advantage.detach() + entropy_beta * policy_entropy(logits)).sum()


def gaussian_log_probability(mean: Tensor, variance: Tensor, action: Tensor) -> Tensor:
    """log N(a; μ, σ²), [T].

    Args:
      mean: μ, [T, n].
      variance: σ², [T, 1] for a spherical covariance, [T, n] for a diagonal one.
      action: as drawn, before the environment clips it, [T, n].
    """
    return -0.5 * ((action - mean).square() / variance + (2 * math.pi * variance).log()).sum(1)


def gaussian_entropy(variance: Tensor) -> Tensor:
    """½ (log 2πσ² + 1), the differential entropy of one component, or its mean over components, in nats, [T]."""
    return 0.5 * ((2 * math.pi * variance).log() + 1).mean(1)


def gaussian_policy_loss(
    mean: Tensor, variance: Tensor, a_tm1: Tensor, advantage: Tensor, entropy_cost: float
) -> Tensor:
    """−Σ [log N(a; μ, σ²) · advantage + c ½ (log 2πσ² + 1)] (§9).

    Args:
      mean: μ of s_0 … s_{T-1}, [T, n].
      variance: σ², [T, 1] or [T, n].
      a_tm1: actions drawn in these states, [T, n].
      advantage: R − V(s), a constant, [T].
      entropy_cost: the factor c.
    """
    assert mean.shape == a_tm1.shape and advantage.shape == mean.shape[:1]
    log_pi = gaussian_log_probability(mean, variance, a_tm1)
    return -(log_pi * advantage.detach() + entropy_cost * gaussian_entropy(variance)).sum()


def value_loss(v_tm1: Tensor, returns: Tensor, value_gradient: float) -> Tensor:
    """Σ ½ c (R − V(s))², whose gradient is c (V − R) ∇V; c = 0.5 (authors' e-mail).

    Args:
      v_tm1: V(s_0) … V(s_{T-1}), [T].
      returns: R of these states, [T].
      value_gradient: the factor c.
    """
    assert v_tm1.shape == returns.shape
    return 0.5 * value_gradient * (returns - v_tm1).square().sum()
