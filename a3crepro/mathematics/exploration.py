"""Selecting actions: ε-greedy with a final ε for each actor-learner (§4, §8), softmax and Gaussian policies."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from a3crepro.common.kernels import kernel
from a3crepro.mathematics.variance import mean_of, variance_of


def epsilon(frames: int, anneal_frames: int, final: float) -> float:
    """ε after `frames` environment frames over all actor-learners: linear from 1 to `final`."""
    share = min(1.0, frames / anneal_frames) if anneal_frames else 1.0
    return 1.0 + share * (final - 1.0)


@lru_cache(maxsize=2048)  # a process may have 1024 actor-learners, which change their draws one by one
def final_epsilon(
    seed: int, thread: int, draw: int, values: tuple[float, ...], probabilities: tuple[float, ...]
) -> float:
    """The final ε of draw number `draw` of an actor-learner: a pure function, so that checkpoints need not hold it."""
    rng = np.random.default_rng([seed, thread, draw, 0xE])
    return float(rng.choice(values, p=probabilities))


def epsilon_greedy(q: np.ndarray, epsilon: float, rng: np.random.Generator) -> int:
    """A random action with probability ε, else the first of those with the highest value.

    Args:
      q: action values of one state, float32 [actions].
      epsilon: ε, from 0 to 1.
      rng: draws whether to explore, then the action.
    """
    if rng.random() < epsilon:
        return int(rng.integers(len(q)))
    return int(q.argmax())


def sample_softmax(logits: np.ndarray, rng: np.random.Generator) -> int:
    """An action drawn from the softmax policy.

    Args:
      logits: float32 [actions], contiguous.
      rng: draws a uniform number; the action is the first whose cumulative probability exceeds it.
    """
    return int(_draw(logits, rng.random()))


@kernel("int64(float32[::1], float64)")
def _draw(logits, uniform):  # type: ignore[no-untyped-def]
    highest, total = logits[0], 0.0
    for action in range(len(logits)):
        highest = max(highest, logits[action])
    weights = np.empty(len(logits), np.float64)
    for action in range(len(logits)):
        weights[action] = np.exp(logits[action] - highest)  # no exponential overflows
        total += weights[action]
    left = uniform * total
    for action in range(len(weights) - 1):
        left -= weights[action]
        if left < 0:
            return action
    return len(weights) - 1


def sample_gaussian(mean: np.ndarray, raw_variance: np.ndarray, bounded: bool, rng: np.random.Generator) -> np.ndarray:
    """An action drawn from the Gaussian policy (`variance.py`), float32 [n]."""
    action: np.ndarray = action_at(mean, raw_variance, rng.standard_normal(len(mean)), bounded)
    return action


@kernel("float32[::1](float32[::1], float32[::1], float64[::1], boolean)", fastmath=False)
def action_at(mean, raw_variance, deviations, bounded):  # type: ignore[no-untyped-def]
    """The action that is `deviations` standard deviations away from the mean, float32 [n]."""
    action = np.empty(len(mean), np.float32)
    for i in range(len(mean)):
        sigma = np.sqrt(variance_of(np.float64(raw_variance[i % len(raw_variance)]), bounded))
        action[i] = mean_of(np.float64(mean[i]), bounded) + sigma * deviations[i]
    return action


def is_distribution(probabilities: Sequence[float]) -> bool:
    """Whether probabilities are non-negative and sum to 1."""
    return all(p >= 0 for p in probabilities) and abs(sum(probabilities) - 1.0) < 1e-9
