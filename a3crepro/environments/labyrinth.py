"""Labyrinth's stand-in (§5.4), `a3crepro.worlds.labyrinth`."""

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from a3crepro.environments._environment import ScriptedPolicy
from a3crepro.environments._first_person import FirstPerson
from a3crepro.worlds.first_person import FirstPersonEnv
from a3crepro.worlds.labyrinth import ACTIONS, Blind, LabyrinthEnv, LabyrinthParameters, Navigator

SIZES = {11: "", 15: "_medium", 21: "_large"}
"""Suffixes of the titles of mazes of these sizes."""
KEYS = {"left": "look left", "right": "look right", "up": "forward", "down": "backward", "a": "strafe left",
        "d": "strafe right"}  # fmt: skip
"""Actions by key; where several keys are down, the first one counts."""


class Labyrinth(LabyrinthParameters, FirstPerson):
    """A maze, observed as RGB, uint8 [3, 84, 84]; the actions are `worlds.labyrinth.ACTIONS`."""

    counted_info: ClassVar[tuple[str, ...]] = ("apples", "portals")
    env_class: ClassVar[type[FirstPersonEnv]] = LabyrinthEnv

    @property
    def title(self) -> str:
        return "labyrinth" + SIZES.get(self.size, f"_{self.size}") + ("" if self.maze_seed is None else "_static")

    def action_from_keys(self, env: gym.Env[np.ndarray, Any], keys: frozenset[str]) -> int | None:
        """Time stands still while no key is down."""
        return next((ACTIONS.index(action) for key, action in KEYS.items() if key in keys), None)

    def scripted_policies(self) -> Mapping[str, ScriptedPolicy]:
        return {"expert": Navigator(), "blind": Blind()}
