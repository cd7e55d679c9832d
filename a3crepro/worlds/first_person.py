"""What labyrinth and races share: time, the first-person view, and the picture with a map that people see."""

import math
from abc import abstractmethod
from typing import Annotated, Any, ClassVar

import gymnasium as gym
import numpy as np
from pydantic import ConfigDict, Field

from a3crepro.common.config_model import ConfigModel, PositiveCount
from a3crepro.common.env_state import SerializableEnv
from a3crepro.worlds import renderer
from a3crepro.worlds.renderer import SIDE, Camera, Scene

FRAMES_PER_SECOND = 60


class Parameters(ConfigModel):
    """Checked keyword arguments of a world."""

    model_config = ConfigDict(allow_inf_nan=False)


class WorldParameters(Parameters):
    """What all worlds take."""

    seconds: Annotated[float, Field(ge=1, le=3600)]
    """Length of an episode; reaching it truncates the episode."""
    action_repeat: Annotated[PositiveCount, Field(le=60)] = 4
    """Frames (60 a second) for which an action is held: the frames of an agent step."""
    field_of_view: Annotated[float, Field(ge=10, le=150)]
    """Degrees, horizontally."""

    @property
    def frames_per_step(self) -> int:
        """Environment frames in an agent step."""
        return self.action_repeat

    @property
    def episode_steps(self) -> int:
        """Agent steps after which an episode is truncated."""
        return -(-round(self.seconds * FRAMES_PER_SECOND) // self.action_repeat)


class FirstPersonEnv(SerializableEnv):
    """A flat world seen through a camera: uint8 [3, 84, 84], RGB; discrete actions."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012 - as gymnasium has it
    parameters_class: ClassVar[type[WorldParameters]]
    action_count: ClassVar[int]
    headless = False
    """Skip drawing: observations are empty. For measuring the speed of the world alone."""

    def __init__(self, render_mode: str | None = None, **parameters: Any) -> None:
        self.parameters = self.parameters_class(**parameters)
        self.metadata = {**self.metadata, "render_fps": FRAMES_PER_SECOND / self.parameters.action_repeat}
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(0, 255, (3, SIDE, SIDE), np.uint8)
        self.action_space: gym.spaces.Discrete = gym.spaces.Discrete(self.action_count)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.begin_episode()
        return self.observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if not 0 <= action < self.action_space.n:
            raise ValueError(f"there is no action {action}: they are 0 to {self.action_space.n - 1}")
        reward, terminated, truncated, info = self.advance(int(action))
        return self.observe(), reward, terminated, truncated, info

    @abstractmethod
    def begin_episode(self) -> None:
        """Draws an initial state from `np_random`."""

    @abstractmethod
    def advance(self, action: int) -> tuple[float, bool, bool, dict[str, Any]]:
        """One agent step without drawing: reward, terminated, truncated, info."""

    @abstractmethod
    def scene(self) -> Scene:
        """What does not move."""

    @abstractmethod
    def camera(self) -> Camera:
        """The agent's view."""

    @abstractmethod
    def sprites(self) -> np.ndarray:
        """What stands upright, as `renderer.render` takes it."""

    @abstractmethod
    def map_scale(self, side: int) -> float:
        """Pixels of `map(side)` per unit of the world."""

    @abstractmethod
    def map(self, side: int) -> np.ndarray:
        """The world from above, uint8 [side, side, 3]."""

    def observe(self) -> np.ndarray:
        """The current frame; empty if `headless`."""
        if self.headless:
            return np.empty(0, np.uint8)
        return renderer.render(self.scene(), self.camera(), self.sprites())

    def render(self) -> Any:
        """The agent's view beside the map, uint8 [336, 672, 3]."""
        if self.render_mode != "rgb_array":
            return None
        view = self.observe().transpose(1, 2, 0).repeat(4, axis=0).repeat(4, axis=1)
        return np.concatenate([view, self.map(len(view))], axis=1)


def signed(angle: float) -> float:
    """Maps an angle, in radians, to the same direction in [-π, π)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi
