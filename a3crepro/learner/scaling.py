"""Observations shifted and scaled by the mean and standard deviation of all that the actor-learners have seen.

Sums are kept instead of means: each actor-learner adds to a row of its own, and the rows are added where they are read.
"""

# The loops are compiled: annotations would say nothing that the signatures do not.
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from a3crepro.common.kernels import kernel
from a3crepro.common.plain import Tree

LIMIT = 10.0
"""A component further away from its mean, in standard deviations, is cut to this."""
KINDS = ("uint8", "float32", "float64")
"""Of observations; others become float64."""


def width(components: int) -> int:
    """Length of the sums for observations of so many components."""
    return 1 + 2 * components


def add_observation(observation: np.ndarray, sums: np.ndarray) -> None:
    """Adds the number 1, the components, and their squares to the sums, float64 [1 + 2n].

    Nothing of an observation that is not finite: it would make all that follow NaN.
    """
    _add(_components(observation), sums)


class Scaling:
    """Scales an observation to float32 of the same shape.

    Args:
      sums: of all that was seen, float64 [1 + 2n]; without any observation in them, or of length 0, nothing is changed.
    """

    def __init__(self, sums: np.ndarray) -> None:
        self.observations = float(sums[0]) if sums.size else 0.0
        self.known = self.observations > 0
        if self.known:
            self.mean, squares = (sums[1:] / sums[0]).reshape(2, -1)
            self.deviation = np.sqrt(np.maximum(squares - self.mean**2, 0) + 1e-8)

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        if not self.known:
            return observation
        scaled = np.empty(observation.shape, np.float32)
        _scale(_components(observation), self.mean, self.deviation, scaled.reshape(-1))
        return scaled


class NormaliseObservation(gym.Wrapper[np.ndarray, Any, np.ndarray, Any]):
    """Scales observations, and sums up those that it has seen.

    The statistics that it scales by stay as they are until `renew`, so that a rollout is seen at one scale.

    Attributes:
      seen: sums of the observations since somebody last set them to 0, float64 [1 + 2n].
      unscaled: the current observation.
    """

    def __init__(self, env: gym.Env[np.ndarray, Any]) -> None:
        super().__init__(env)
        assert env.observation_space.shape is not None
        self.seen = np.zeros(width(int(np.prod(env.observation_space.shape))))
        self.scale = Scaling(np.zeros(0))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._observe(observation), info

    def step(self, action: Any) -> Any:
        observation, *others = self.env.step(action)
        return self._observe(observation), *others

    def _observe(self, observation: np.ndarray) -> np.ndarray:
        self.unscaled = observation
        add_observation(observation, self.seen)
        return self.scale(observation)

    def renew(self, scale: Scaling) -> np.ndarray:
        """Scales by other statistics from now on; returns the current observation."""
        self.scale = scale
        return scale(self.unscaled)

    def get_state(self) -> Tree:
        """What it holds of observations."""
        return {"unscaled": self.unscaled, "seen": self.seen}

    def set_state(self, state: Tree) -> None:
        """Takes over what `get_state` returned."""
        self.unscaled, self.seen[:] = state["unscaled"], state["seen"]


def _components(observation: np.ndarray) -> np.ndarray:
    values = np.ascontiguousarray(observation).reshape(-1)
    return values if str(values.dtype) in KINDS else values.astype(np.float64)


@kernel(*(f"void({kind}[::1], float64[::1])" for kind in KINDS), fastmath=False)
def _add(values, sums):
    n = len(values)
    for value in values:
        if not np.isfinite(value):
            return
    sums[0] += 1
    for i in range(n):
        value = np.float64(values[i])
        sums[1 + i] += value
        sums[1 + n + i] += value * value


@kernel(*(f"void({kind}[::1], float64[::1], float64[::1], float32[::1])" for kind in KINDS), fastmath=False)
def _scale(values, mean, deviation, scaled):
    for i in range(len(values)):
        value = (values[i] - mean[i]) / deviation[i]
        value = -LIMIT if value < -LIMIT else value
        scaled[i] = LIMIT if value > LIMIT else value
