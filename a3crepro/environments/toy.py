"""Four tasks that are solved within a minute; each tests one ability.

`catch`: credit assignment over a few steps. `chain`: exploration, with a time limit that is no terminal state.
`cue_memory`: memory, which needs LSTM cells. `point_mass`: continuous control.
"""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np

from a3crepro.common.env_state import SerializableEnv
from a3crepro.environments._environment import Environment


class Toy(Environment):
    """One of the tasks."""

    task: Literal["catch", "chain", "cue_memory", "point_mass"]

    @property
    def episode_steps(self) -> int:
        return TASKS[self.task].episode_steps

    def make(self, *, training: bool, render: bool = False) -> gym.Env[np.ndarray, Any]:
        return TASKS[self.task]("rgb_array" if render else None)


class ToyEnv(SerializableEnv):
    """Float32 observations of shape `shape`; renders them as grey squares."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 - gymnasium declares it so
    shape: ClassVar[tuple[int, int]]
    actions: ClassVar[int]
    episode_steps: ClassVar[int]

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(0.0, 1.0, self.shape, np.float32)
        self.action_space = gym.spaces.Discrete(self.actions)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.begin_episode()
        return self.observe(), {}

    @abstractmethod
    def begin_episode(self) -> None:
        """Draws an initial state from `np_random`."""

    @abstractmethod
    def observe(self) -> np.ndarray:
        """The current observation."""

    def render(self) -> Any:
        if self.render_mode != "rgb_array":
            return None
        grey = (255 * self.observe()).astype(np.uint8).repeat(32, axis=0).repeat(32, axis=1)
        return grey[:, :, None].repeat(3, axis=2)


class Catch(ToyEnv):
    """A ball falls down a 6x5 board: +1 if the paddle catches it, else -1. Chance: -0.6."""

    shape = (6, 5)
    actions = 3
    episode_steps = 5

    def begin_episode(self) -> None:
        columns = self.shape[1]
        self.ball = [0, int(self.np_random.integers(columns))]
        self.paddle = columns // 2

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        rows, columns = self.shape
        self.paddle = min(max(self.paddle + int(action) - 1, 0), columns - 1)
        self.ball[0] += 1
        landed = self.ball[0] == rows - 1
        reward = (1.0 if self.ball[1] == self.paddle else -1.0) if landed else 0.0
        return self.observe(), reward, landed, False, {}

    def observe(self) -> np.ndarray:
        board = np.zeros(self.shape, np.float32)
        board[self.ball[0], self.ball[1]] = 1.0
        board[-1, self.paddle] = 1.0
        return board


class Chain(ToyEnv):
    """Six steps right in a row earn 1 and end the episode; a step left returns to the start; at most 24 steps.

    Chance: 0.15.
    """

    shape = (1, 6)
    actions = 2
    episode_steps = 24

    def begin_episode(self) -> None:
        self.place, self.steps = 0, 0

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place = self.place + 1 if action == 1 else 0
        self.steps += 1
        terminated = self.place == self.shape[1]
        truncated = not terminated and self.steps == self.episode_steps
        return self.observe(), float(terminated), terminated, truncated, {}

    def observe(self) -> np.ndarray:
        board = np.zeros(self.shape, np.float32)
        board[0, min(self.place, self.shape[1] - 1)] = 1.0
        return board


class CueMemory(ToyEnv):
    """The first observation shows one of two cues; two steps later the same action earns 1, the other -1. Chance: 0."""

    shape = (1, 3)
    actions = 2
    delay = 2
    episode_steps = 3

    def begin_episode(self) -> None:
        self.cue, self.steps = int(self.np_random.integers(2)), 0

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        due = self.steps == self.delay
        reward = (1.0 if int(action) == self.cue else -1.0) if due else 0.0
        self.steps += 1
        return self.observe(), reward, due, False, {}

    def observe(self) -> np.ndarray:
        board = np.zeros(self.shape, np.float32)
        if self.steps == 0:
            board[0, self.cue] = 1.0
        board[0, 2] = float(self.steps == self.delay)
        return board


class PointMass(ToyEnv):
    """Move a mass on a line to 0 by a force in [-1, 1] and hold it there; 40 steps of 0.1 seconds.

    The reward of a step is max(0, 1 - |position|). Chance: 18; a proportional-derivative controller: 36.
    """

    shape = (1, 2)
    episode_steps = 40
    actions = 1

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, self.shape, np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (self.actions,), np.float32)

    def begin_episode(self) -> None:
        self.position, self.velocity, self.steps = float(self.np_random.uniform(-1, 1)), 0.0, 0

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.velocity += 0.1 * min(max(float(action[0]), -1.0), 1.0)
        self.position += 0.1 * self.velocity
        self.steps += 1
        return self.observe(), max(0.0, 1 - abs(self.position)), False, self.steps == self.episode_steps, {}

    def observe(self) -> np.ndarray:
        return np.array([[self.position, self.velocity]], np.float32)

    def render(self) -> Any:
        """The line from -2 to 2 with the target in the middle."""
        if self.render_mode != "rgb_array":
            return None
        frame = np.zeros((32, 256, 3), np.uint8)
        frame[:, 127:129] = (0, 255, 0)
        middle = int(np.clip(128 + 64 * self.position, 8, 248))
        frame[8:24, middle - 8 : middle + 8] = 255
        return frame


TASKS: dict[str, type[ToyEnv]] = {
    "catch": Catch,
    "chain": Chain,
    "cue_memory": CueMemory,
    "point_mass": PointMass,
}
