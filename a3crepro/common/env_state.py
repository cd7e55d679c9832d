"""The state of an environment that keeps it in attributes, for exact resume."""

from collections.abc import Collection
from copy import deepcopy
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from a3crepro.common.serialization import PyTree, is_serializable


class SerializableEnv(gym.Env[np.ndarray, Any]):
    """A Gymnasium environment whose state is its serialisable attributes and `np_random`."""

    CONSTANT: ClassVar[tuple[str, ...]] = ("metadata", "render_mode")
    """Serialisable attributes that never change, and are no part of the state."""

    def get_state(self) -> PyTree:
        return {"attributes": get_attributes(self, self.CONSTANT), "random": self.np_random.bit_generator.state}

    def set_state(self, state: PyTree) -> None:
        set_attributes(self, state["attributes"])
        self.np_random.bit_generator.state = state["random"]


def get_attributes(owner: object, excluded: Collection[str] = ()) -> dict[str, PyTree]:
    """Copies of an object's serialisable attributes; generators, spaces and renderers are not serialisable."""
    return {
        name: deepcopy(value) for name, value in vars(owner).items() if name not in excluded and is_serializable(value)
    }


def set_attributes(owner: object, attributes: dict[str, PyTree]) -> None:
    """Sets attributes that `get_attributes` returned."""
    for name, value in attributes.items():
        setattr(owner, name, deepcopy(value))
