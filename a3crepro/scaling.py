"""Observations shifted and scaled by the mean and standard deviation of all that the actor-learners have seen.

Sums are kept instead of means: each actor-learner adds to a row of its own, and the rows are added where they are read.
"""

from __future__ import annotations

import numpy as np

LIMIT = 10.0
"""A component further away from its mean, in standard deviations, is cut to this."""


def width(components: int) -> int:
    """Length of the sums for observations of so many components."""
    return 1 + 2 * components


def sums_of(observation: np.ndarray) -> np.ndarray:
    """The number 1, the components, and their squares: what is added for an observation, float64 [1 + 2n].

    Zeros for one that is not finite: it would make all that follow NaN.
    """
    values = observation.reshape(-1).astype(np.float64)
    if not np.isfinite(values).all():
        return np.zeros(1 + 2 * len(values))
    return np.concatenate(([1.0], values, values**2))


class Scaling:
    """The function that scales an observation, float32 of any shape.

    Args:
      sums: of all that was seen, float64 [1 + 2n]; without any observation in them, or of length 0, nothing is changed.
    """

    def __init__(self, sums: np.ndarray) -> None:
        self.known = sums.size > 0 and sums[0] > 0
        if self.known:
            self.mean, squares = (sums[1:] / sums[0]).reshape(2, -1)
            self.deviation = np.sqrt(np.maximum(squares - self.mean**2, 0) + 1e-8)

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        if not self.known:
            return observation
        scaled = (observation.reshape(-1) - self.mean) / self.deviation
        cut: np.ndarray = np.clip(scaled, -LIMIT, LIMIT).astype(np.float32)
        return cut.reshape(observation.shape)
