"""Running normalisation of observations, by what all actor-learners have seen.

The statistics are sums, not means: each actor-learner adds to its own row without a lock, and readers add the rows.
"""

# The loops are compiled: annotations would say nothing that the signatures do not.
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from typing import Any

import gymnasium as gym
import numpy as np

from a3crepro.common.kernels import kernel
from a3crepro.common.serialization import PyTree

LIMIT = 10.0
"""Normalised components are clipped to ± this many standard deviations."""
KINDS = ("uint8", "float32", "float64")
"""Dtypes that the kernels take; others are converted to float64."""


def width(components: int) -> int:
    """Length of the sums for observations with this many components."""
    return 1 + 2 * components


def add_observation(observation: np.ndarray, sums: np.ndarray) -> None:
    """Adds 1, the components and their squares to the sums, float64 [1 + 2n].

    An observation that is not finite is left out: it would turn all later ones into NaN.
    """
    _add(_components(observation), sums)


class Normaliser:
    """Shifts and scales observations to float32 arrays of the same shape.

    Args:
      sums: float64 [1 + 2n]. If they are empty or hold no observation, observations are returned unchanged.
    """

    def __init__(self, sums: np.ndarray) -> None:
        self.observations = float(sums[0]) if sums.size else 0.0
        self.known = self.observations > 0
        if self.known:
            self.mean, squares = (sums[1:] / sums[0]).reshape(2, -1)
            self.deviation = np.sqrt(np.maximum(squares - self.mean**2, 0) + 1e-8)

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Normalises an observation of any shape.

        Args:
          observation: has n components.

        Returns:
          float32 of the same shape, within ± `LIMIT`; the observation itself as long as none has been summed up.
        """
        if not self.known:
            return observation
        normalised = np.empty(observation.shape, np.float32)
        _normalise(_components(observation), self.mean, self.deviation, normalised.reshape(-1))
        return normalised


class NormaliseObservation(gym.Wrapper[np.ndarray, Any, np.ndarray, Any]):
    """Normalises observations and sums up the raw ones.

    Its normaliser changes only in `set_normaliser`, so all observations of a rollout are normalised alike.

    Attributes:
      raw: the current observation, as the environment returned it.
      seen: sums of the raw observations since the owner last set them to 0, float64 [1 + 2n].
    """

    def __init__(self, env: gym.Env[np.ndarray, Any]) -> None:
        super().__init__(env)
        assert env.observation_space.shape is not None
        self.seen = np.zeros(width(int(np.prod(env.observation_space.shape))))
        self.normaliser = Normaliser(np.zeros(0))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._observe(observation), info

    def step(self, action: Any) -> Any:
        observation, *others = self.env.step(action)
        return self._observe(observation), *others

    def _observe(self, observation: np.ndarray) -> np.ndarray:
        self.raw = observation
        add_observation(observation, self.seen)
        return self.normaliser(observation)

    def set_normaliser(self, normaliser: Normaliser) -> np.ndarray:
        """Uses this normaliser from now on, and returns the current observation, normalised by it."""
        self.normaliser = normaliser
        return normaliser(self.raw)

    def get_state(self) -> PyTree:
        """The raw observation and the sums."""
        return {"raw": self.raw, "seen": self.seen}

    def set_state(self, state: PyTree) -> None:
        """Restores what `get_state` returned."""
        self.raw, self.seen[:] = state["raw"], state["seen"]


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
def _normalise(values, mean, deviation, normalised):
    for i in range(len(values)):
        value = (values[i] - mean[i]) / deviation[i]
        value = -LIMIT if value < -LIMIT else value
        normalised[i] = LIMIT if value > LIMIT else value
