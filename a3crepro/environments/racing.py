"""TORCS's stand-in (§5.2), `a3crepro.worlds.racing`."""

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from a3crepro.environments._environment import ScriptedPolicy
from a3crepro.environments._first_person import FirstPerson
from a3crepro.worlds.first_person import FirstPersonEnv
from a3crepro.worlds.racing import Driver, RacingEnv, RacingParameters, action_of

SPEEDS = {22.0: "slow", 40.0: "fast"}
"""Names of cars with these top speeds."""


class Racing(RacingParameters, FirstPerson):
    """A race, observed as RGB, uint8 [3, 84, 84]; nine actions: steering times pedals."""

    env_class: ClassVar[type[FirstPersonEnv]] = RacingEnv

    @property
    def title(self) -> str:
        speed = SPEEDS.get(self.car.top_speed, f"{self.car.top_speed:g}")
        return f"racing/{speed}{'_bots' if self.opponents.number else ''}"

    def action_from_keys(self, env: gym.Env[np.ndarray, Any], keys: frozenset[str]) -> int | None:
        return action_of(("right" in keys) - ("left" in keys), ("up" in keys) - ("down" in keys))

    def scripted_policies(self) -> Mapping[str, ScriptedPolicy]:
        return {"expert": Driver()}
