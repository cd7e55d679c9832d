"""What the labyrinth and the races have in common: time, the picture that is seen, and the one that a person sees."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Any, ClassVar

import gymnasium as gym
import numpy as np
from pydantic import Field

from a3crepro.common.config_model import PositiveCount, PositiveFloat
from a3crepro.environments._environment import PlainEnv, Scalable
from a3crepro.environments._view import SIDE, Eye, World, draw

FRAMES_PER_SECOND = 60


class FirstPerson(Scalable):
    """Seen through an eye in a flat world: RGB, uint8 [3, 84, 84]."""

    plays_by_keys: ClassVar[bool] = True

    seconds: Annotated[PositiveFloat, Field(ge=1, le=3600)]
    """Length of an episode; its end is no terminal state."""
    action_repeat: Annotated[PositiveCount, Field(le=60)]
    """Frames for which an action is held: the frames of an agent step."""
    field_of_view: Annotated[PositiveFloat, Field(ge=10, le=150)]
    """Degrees."""

    @property
    def frames_per_step(self) -> int:
        return self.action_repeat

    @property
    def episode_steps(self) -> int:
        return math.ceil(self.seconds * FRAMES_PER_SECOND / self.action_repeat)

    def undrawn(self) -> gym.Env[np.ndarray, Any]:
        return Undrawn(self.make(training=False))


def signed(angle: float) -> float:
    """The same direction as an angle in [-π, π)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


class FirstPersonEnv(PlainEnv):
    """One world, in which discrete actions are taken."""

    def __init__(self, settings: FirstPerson, actions: int, render_mode: str | None) -> None:
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SECOND / settings.action_repeat}
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(0, 255, (3, SIDE, SIDE), np.uint8)
        self.action_space: gym.spaces.Discrete = gym.spaces.Discrete(actions)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.begin()
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if not 0 <= action < self.action_space.n:
            raise ValueError(f"there is no action {action}: they are 0 to {self.action_space.n - 1}")
        reward, terminated, truncated, info = self.advance(int(action))
        return self._observation(), reward, terminated, truncated, info

    @abstractmethod
    def begin(self) -> None:
        """Begins an episode."""

    @abstractmethod
    def advance(self, action: int) -> tuple[float, bool, bool, dict[str, Any]]:
        """What `step` does, without drawing: reward, whether the episode is over or cut off, `info`."""

    @abstractmethod
    def seen_world(self) -> World:
        """What stands still."""

    @abstractmethod
    def eye(self) -> Eye:
        """The player's."""

    @abstractmethod
    def things(self) -> np.ndarray:
        """What stands upright in the picture, as `draw` takes it."""

    @abstractmethod
    def map_scale(self, side: int) -> float:
        """Pixels of such a map per unit of the world's."""

    @abstractmethod
    def map(self, side: int) -> np.ndarray:
        """The world from above, uint8 [side, side, 3]."""

    def _observation(self) -> np.ndarray:
        return draw(self.seen_world(), self.eye(), self.things())

    def render(self) -> Any:
        """What the player sees, beside the map, 336 x 672."""
        if self.render_mode != "rgb_array":
            return None
        seen = self._observation().transpose(1, 2, 0).repeat(4, axis=0).repeat(4, axis=1)
        return np.concatenate([seen, self.map(seen.shape[0])], axis=1)


class Undrawn(gym.Wrapper[np.ndarray, Any, np.ndarray, Any]):
    """A world that goes on without being looked at: its observations are empty."""

    NOTHING = np.empty(0, np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        world: Any = self.env
        gym.Env.reset(world, seed=seed)
        world.begin()
        return self.NOTHING, {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        world: Any = self.env
        reward, terminated, truncated, info = world.advance(action)
        return self.NOTHING, reward, terminated, truncated, info
