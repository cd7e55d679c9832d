"""Configuration of the first-person worlds of `a3crepro.worlds`."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from a3crepro.environments._environment import NormalisableEnvironment
from a3crepro.worlds.first_person import FirstPersonEnv, WorldParameters


class FirstPerson(WorldParameters, NormalisableEnvironment):
    """A world; its fields are the keyword arguments of `env_class`."""

    has_keyboard_controls: ClassVar[bool] = True
    env_class: ClassVar[type[FirstPersonEnv]]

    def make(self, *, training: bool, render: bool = False) -> gym.Env[np.ndarray, Any]:
        return self._make("rgb_array" if render else None)

    def make_headless(self) -> gym.Env[np.ndarray, Any]:
        env = self._make(None)
        env.headless = True
        return env

    def _make(self, render_mode: str | None) -> FirstPersonEnv:
        return self.env_class(render_mode, **self.model_dump(include=set(self.env_class.parameters_class.model_fields)))
