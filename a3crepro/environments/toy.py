"""Four tasks that are solved within a minute, each for one thing an agent must be able to do.

`catch`: assign credit over a few steps. `chain`: find a rare reward, with a time limit that is no terminal state.
`cue_memory`: remember, which only a network with LSTM cells can. `point_mass`: push as hard as it takes.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np

from a3crepro.common.env_state import SerializableEnv
from a3crepro.environments._environment import Environment


class Toy(Environment):
    """A small task."""

    task: Literal["catch", "chain", "cue_memory", "point_mass"]

    @property
    def episode_steps(self) -> int:
        return TASKS[self.task].episode_steps

    def make(self, *, training: bool, render: bool = False) -> gym.Env[np.ndarray, Any]:
        return TASKS[self.task]("rgb_array" if render else None)


class ToyEnv(SerializableEnv):
    """A float32 observation of shape `shape`, drawn as grey squares."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 - gymnasium declares it so
    shape: ClassVar[tuple[int, int]]
    actions: ClassVar[int]
    episode_steps: ClassVar[int]

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(0.0, 1.0, self.shape, np.float32)
        self.action_space = gym.spaces.Discrete(self.actions)

    def _observation(self) -> np.ndarray:
        raise NotImplementedError

    def render(self) -> Any:
        if self.render_mode != "rgb_array":
            return None
        grey = (255 * self._observation()).astype(np.uint8).repeat(32, axis=0).repeat(32, axis=1)
        return grey[:, :, None].repeat(3, axis=2)


class Catch(ToyEnv):
    """A ball falls down a 6x5 board; the paddle must be under it: +1, else -1. Chance: -0.6."""

    shape = (6, 5)
    actions = 3
    episode_steps = 5

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        columns = self.shape[1]
        self.ball = [0, int(self.np_random.integers(columns))]
        self.paddle = columns // 2
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        rows, columns = self.shape
        self.paddle = min(max(self.paddle + int(action) - 1, 0), columns - 1)
        self.ball[0] += 1
        landed = self.ball[0] == rows - 1
        reward = (1.0 if self.ball[1] == self.paddle else -1.0) if landed else 0.0
        return self._observation(), reward, landed, False, {}

    def _observation(self) -> np.ndarray:
        board = np.zeros(self.shape, np.float32)
        board[self.ball[0], self.ball[1]] = 1.0
        board[-1, self.paddle] = 1.0
        return board


class Chain(ToyEnv):
    """Six steps right in a row earn 1 and end the episode; a step left goes back to the start. 24 steps at most.

    Chance: 0.15.
    """

    shape = (1, 6)
    actions = 2
    episode_steps = 24

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.steps = 0, 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place = self.place + 1 if action == 1 else 0
        self.steps += 1
        terminated = self.place == self.shape[1]
        truncated = not terminated and self.steps == self.episode_steps
        return self._observation(), float(terminated), terminated, truncated, {}

    def _observation(self) -> np.ndarray:
        board = np.zeros(self.shape, np.float32)
        board[0, min(self.place, self.shape[1] - 1)] = 1.0
        return board


class CueMemory(ToyEnv):
    """The first observation shows one of two cues; two steps later its action is due: +1, else -1. Chance: 0."""

    shape = (1, 3)
    actions = 2
    delay = 2
    episode_steps = 3

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.cue, self.steps = int(self.np_random.integers(2)), 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        asked = self.steps == self.delay
        reward = (1.0 if int(action) == self.cue else -1.0) if asked else 0.0
        self.steps += 1
        return self._observation(), reward, asked, False, {}

    def _observation(self) -> np.ndarray:
        board = np.zeros(self.shape, np.float32)
        if self.steps == 0:
            board[0, self.cue] = 1.0
        board[0, 2] = float(self.steps == self.delay)
        return board


class PointMass(ToyEnv):
    """A mass on a line, pushed by a force in [-1, 1], is to be brought to 0 and held there; 40 steps of 0.1 seconds.

    The reward of a step is 1 - |position|, at least 0. Chance: 18; pushing back and braking in time: 36.
    """

    shape = (1, 2)
    episode_steps = 40
    actions = 1

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, self.shape, np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (self.actions,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.position, self.velocity, self.steps = float(self.np_random.uniform(-1, 1)), 0.0, 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.velocity += 0.1 * min(max(float(action[0]), -1.0), 1.0)
        self.position += 0.1 * self.velocity
        self.steps += 1
        return self._observation(), max(0.0, 1 - abs(self.position)), False, self.steps == self.episode_steps, {}

    def _observation(self) -> np.ndarray:
        return np.array([[self.position, self.velocity]], np.float32)

    def render(self) -> Any:
        """The line from -2 to 2, the target in its middle."""
        if self.render_mode != "rgb_array":
            return None
        picture = np.zeros((32, 256, 3), np.uint8)
        picture[:, 127:129] = (0, 255, 0)
        middle = int(np.clip(128 + 64 * self.position, 8, 248))
        picture[8:24, middle - 8 : middle + 8] = 255
        return picture


TASKS: dict[str, type[ToyEnv]] = {
    "catch": Catch,
    "chain": Chain,
    "cue_memory": CueMemory,
    "point_mass": PointMass,
}
