"""MinAtar's five games (Young and Tian 2019): Atari's dynamics on a 10x10 grid."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np

from a3crepro.common.config_model import Fraction
from a3crepro.common.env_state import get_attributes, set_attributes
from a3crepro.common.serialization import PyTree
from a3crepro.environments._environment import Environment

Game = Literal["asterix", "breakout", "freeway", "seaquest", "space_invaders"]


class MinAtar(Environment):
    """A MinAtar game, with its minimal action set."""

    game: Game
    sticky_action_probability: Fraction
    """The probability that a step repeats the last action."""
    difficulty_ramping: bool
    """Asterix, Seaquest and Space Invaders become harder during a game."""

    has_keyboard_controls: ClassVar[bool] = True

    def action_from_keys(self, env: gym.Env[np.ndarray, Any], keys: frozenset[str]) -> int | None:
        """MinAtar numbers none, left, up, right, down and fire; a game has some of them."""
        inner = env.unwrapped
        assert isinstance(inner, MinAtarEnv)
        meant = {"space": 5, "left": 1, "right": 3, "up": 2, "down": 4}
        wanted = [number for key, number in meant.items() if key in keys and number in inner.actions]
        return int(inner.actions.index(wanted[0] if wanted else 0))

    def make(self, *, training: bool, render: bool = False) -> gym.Env[np.ndarray, Any]:
        return MinAtarEnv(self, "rgb_array" if render else None)


class MinAtarEnv(gym.Env[np.ndarray, Any]):
    """One MinAtar game; observations are uint8 [channels, 10, 10], 0 or 1."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012 - gymnasium declares it so

    def __init__(self, settings: MinAtar, render_mode: str | None = None) -> None:
        self.settings = settings
        self.render_mode = render_mode
        self.game = _game_module(settings.game).Env(ramping=settings.difficulty_ramping)
        self.game.random = np.random.RandomState()
        self.actions = self.game.minimal_action_set()
        self.action_space = gym.spaces.Discrete(len(self.actions))
        height, width, channels = self.game.state_shape()
        self.observation_space = gym.spaces.Box(0, 1, (channels, height, width), np.uint8)
        self._last_action = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.game.random = np.random.RandomState(int(self.np_random.integers(2**32)))
            self._last_action = 0
        self.game.reset()
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        # The order of draws is that of minatar.Environment.act, whose games these are.
        if self.game.random.rand() >= self.settings.sticky_action_probability:
            self._last_action = self.actions[action]
        reward, terminated = self.game.act(self._last_action)
        return self._observation(), float(reward), bool(terminated), False, {}

    def get_state(self) -> PyTree:
        """The game's variables, its generator (also used here), and the action that may stick."""
        random = self.game.random.get_state(legacy=False)
        return {"game": get_attributes(self.game), "random": random, "last_action": self._last_action}

    def set_state(self, state: PyTree) -> None:
        set_attributes(self.game, state["game"])
        self.game.random.set_state(state["random"])
        self._last_action = state["last_action"]

    def _observation(self) -> np.ndarray:
        return np.ascontiguousarray(self.game.state().transpose(2, 0, 1)).view(np.uint8)

    def render(self) -> Any:
        """One colour per channel, 16 pixels per cell."""
        if self.render_mode != "rgb_array":
            return None
        state = self.game.state()
        channels = state.shape[2]
        top = np.where(state.any(axis=2), channels - np.argmax(state[:, :, ::-1], axis=2), 0)
        hue = np.arange(channels + 1) / (channels + 1)
        waves = np.stack([np.cos(2 * np.pi * (hue + shift)) for shift in (0, 1 / 3, 2 / 3)], axis=1)
        palette = (127.5 * (1 + waves)).astype(np.uint8)
        palette[0] = 0
        return palette[top].repeat(16, axis=0).repeat(16, axis=1)


def _game_module(game: str) -> ModuleType:
    """Imports the module of one game without its package, which imports seaborn."""
    package = importlib.util.find_spec("minatar")
    assert package is not None and package.origin is not None
    path = Path(package.origin).parent / "environments" / f"{game}.py"
    spec = importlib.util.spec_from_file_location(f"minatar_{game}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
