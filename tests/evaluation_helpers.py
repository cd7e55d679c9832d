"""Policies and environments for the tests of evaluations."""

import functools
from typing import Any

import gymnasium
import numpy as np

from a3crepro.config import Config, compose


@functools.cache
def composed(*overrides: str) -> Config:
    return compose(*overrides)


class SevenAStep(gymnasium.Env):
    """Pays 7 a step, for ever."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(2, np.float32), 7.0, False, False, {}
