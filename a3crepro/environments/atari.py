"""The 57 Atari games in ALE, with Gymnasium's version of the preprocessing of Mnih et al. 2015, to which §8 refers.

Each action is repeated four times; the maximum of the last two grey screens is scaled to 84x84; four such frames make
an observation. Frames, rewards and lives equal those of Gymnasium's `AtariPreprocessing` and `FrameStackObservation`
for the same seed and actions, but here a lost life can end an episode without resetting the game.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import ale_py
import cv2
import gymnasium as gym
import numpy as np
from ale_py import roms
from gymnasium.utils import seeding
from pydantic import field_validator

from a3crepro.common.config_model import Count, Fraction, PositiveCount
from a3crepro.common.serialization import PyTree
from a3crepro.environments._environment import Environment
from a3crepro.environments._preprocessing import ScreenPreprocessor

SIDE = 84
STACK = 4
FRAMES_PER_SECOND = 60
"""Frames of the emulator in a second of play."""


class Atari(Environment):
    """An Atari 2600 game."""

    game: str
    """The game's name in ALE, e.g. `breakout`, `beam_rider`."""
    action_repeat: PositiveCount
    """Emulator frames per agent step."""
    no_op_max: Count
    """A game starts with 1 to this many no-op frames; 0: none."""
    max_episode_frames: PositiveCount
    """A game is truncated after this many frames, no-ops included."""
    repeat_action_probability: Fraction
    """Sticky actions: the probability that the emulator repeats the action of the last frame."""
    full_action_space: bool
    """All 18 actions instead of the game's minimal set."""
    life_loss_ends_episode: bool
    """A lost life is terminal for the learner, while the game goes on; evaluations play all lives."""

    has_keyboard_controls: ClassVar[bool] = True

    @field_validator("game")
    @classmethod
    def _has_rom(cls, game: str) -> str:
        known = roms.get_all_rom_ids()
        if game not in known:
            raise ValueError(f"unknown game; allowed: {', '.join(sorted(known))}")
        return game

    @property
    def frames_per_step(self) -> int:
        return self.action_repeat

    @property
    def episode_steps(self) -> int:
        return -(-self.max_episode_frames // self.action_repeat)

    def action_from_keys(self, env: gym.Env[np.ndarray, Any], keys: frozenset[str]) -> int | None:
        """Arrow keys are the joystick, the space bar is the button if the game uses it."""
        inner = env.unwrapped
        assert isinstance(inner, AtariEnv)
        upright = "UP" if "up" in keys else "DOWN" if "down" in keys else ""
        level = "RIGHT" if "right" in keys else "LEFT" if "left" in keys else ""
        fire = "FIRE" if "space" in keys else ""
        names = [action.name for action in inner.actions]
        wanted = (upright + level + fire, upright + level, level + fire, fire, level, upright, "NOOP")
        return next(names.index(name) for name in wanted if name in names)

    def make(self, *, training: bool, render: bool = False) -> gym.Env[np.ndarray, Any]:
        return AtariEnv(self, training and self.life_loss_ends_episode, "rgb_array" if render else None)

    def load(self) -> ale_py.ALEInterface:
        """Makes an emulator with this configuration and no game."""
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        ale = ale_py.ALEInterface()
        ale.setFloat("repeat_action_probability", self.repeat_action_probability)
        ale.setInt("max_num_frames_per_episode", self.max_episode_frames)
        return ale

    def get_state(self, env: gym.Env[np.ndarray, Any]) -> PyTree | None:
        """None with sticky actions: the emulator does not reveal the last action, which the next frame may repeat."""
        return None if self.repeat_action_probability else super().get_state(env)

    def emulator(self, seed: int) -> Callable[[], None]:
        ale = self.load()
        ale.setInt("random_seed", seed)
        ale.loadROM(rom(self.game))
        actions = ale.getLegalActionSet() if self.full_action_space else ale.getMinimalActionSet()
        rng = np.random.default_rng(seed)

        def step() -> None:
            action = actions[rng.integers(len(actions))]
            for _ in range(self.action_repeat):
                ale.act(action)
            if ale.game_over():
                ale.reset_game()

        return step


def rom(game: str) -> Path:
    """The file of a game's ROM, which ale-py contains."""
    path = roms.get_rom_path(game)
    assert path is not None
    return path


class AtariEnv(gym.Env[np.ndarray, Any]):
    """One Atari game.

    Observations are uint8 [4, 84, 84], the newest frame last; rewards are the game's own. `info` has `lives` and
    `game_over`. Where a lost life ends an episode, the next `reset()` continues the same game.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - gymnasium declares it so

    def __init__(self, settings: Atari, end_at_life_loss: bool, render_mode: str | None = None) -> None:
        self.settings = settings
        self.end_at_life_loss = end_at_life_loss
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": FRAMES_PER_SECOND / settings.action_repeat}
        self.ale = settings.load()
        self._load_game(None)
        self.actions = self.ale.getLegalActionSet() if settings.full_action_space else self.ale.getMinimalActionSet()
        self.action_space = gym.spaces.Discrete(len(self.actions))
        self.observation_space = gym.spaces.Box(0, 255, (STACK, SIDE, SIDE), np.uint8)
        self._preprocessor = ScreenPreprocessor(self.ale, SIDE)
        self._frame = self._preprocessor.frame
        self._observation = np.zeros((STACK, SIDE, SIDE), np.uint8)
        self._lives = 0
        self._goes_on = False  # after a lost life: reset() starts a new episode of the same game

    def _load_game(self, seed: int | None) -> None:
        """Seeds and starts the emulator as ale-py's own environment does: equal seeds give equal games."""
        numpy_seed, ale_seed = np.random.SeedSequence(seed).generate_state(2)
        self._np_random, _ = seeding.np_random(int(numpy_seed))
        self.ale.setInt("random_seed", int(ale_seed.astype(np.int32)))
        self.ale.loadROM(rom(self.settings.game))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if self._goes_on and seed is None:
            self._goes_on = False
            return self._observation, self._info(False)
        self._goes_on = False
        self._new_game(seed)
        for _ in range(int(self.np_random.integers(1, self.settings.no_op_max + 1)) if self.settings.no_op_max else 0):
            self.ale.act(self.actions[0])
            if self.ale.game_over():
                self._new_game(seed)
        self._lives = self.ale.lives()
        self._frame = self._preprocessor.reset()
        self._observation = np.repeat(self._frame[None], STACK, axis=0)
        return self._observation, self._info(False)

    def _new_game(self, seed: int | None) -> None:
        if seed is not None:
            self._load_game(seed)
        self.ale.reset_game()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward, terminated, truncated = self._repeat(self.actions[action])
        stack = np.empty_like(self._observation)
        stack[:-1] = self._observation[1:]
        stack[-1] = self._frame
        self._observation = stack
        lives, before = self.ale.lives(), self._lives
        self._lives = lives
        game_over = terminated or truncated
        self._goes_on = self.end_at_life_loss and lives < before and not game_over
        return stack, reward, terminated or self._goes_on, truncated, self._info(game_over)

    def _repeat(self, action: ale_py.Action) -> tuple[float, bool, bool]:
        """Repeats an action for `action_repeat` emulator frames and preprocesses the last two."""
        reward, last, ale = 0.0, self.settings.action_repeat - 1, self.ale
        for frame in range(last + 1):
            reward += ale.act(action)
            if ale.game_over():
                self._frame = self._last_frame(stored=frame == last and last > 0)
                return reward, ale.game_over(with_truncation=False), ale.game_truncated()
            if frame == last - 1:
                self._preprocessor.store_screen()
        self._frame = self._preprocessor.preprocess() if last else self._preprocessor.reset()
        return reward, False, False

    def _last_frame(self, stored: bool) -> np.ndarray:
        """The frame of a game that ended within an agent step: of older screens, as in Gymnasium's wrapper."""
        if not stored:
            return self._frame
        screen = np.maximum(self._preprocessor.last_grey(), self._preprocessor.stored_grey())
        frame: np.ndarray = cv2.resize(screen, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return frame

    def _info(self, game_over: bool) -> dict[str, Any]:
        return {"lives": self._lives, "game_over": game_over}

    def get_state(self) -> PyTree:
        """The emulator with its generator, the preprocessing, and the attributes of this class."""
        return {
            "emulator": np.frombuffer(self.ale.cloneState(include_rng=True).serialize(), np.uint8),
            "random": self.np_random.bit_generator.state,
            "preprocessor": self._preprocessor.get_state(),
            "observation": self._observation,
            "lives": self._lives,
            "goes_on": self._goes_on,
        }

    def set_state(self, state: PyTree) -> None:
        self.ale.act(self.actions[0])  # without it Q*bert is not restored exactly (ale-py 0.12)
        self.ale.restoreState(ale_py.ALEState(state["emulator"].tobytes()))
        self.np_random.bit_generator.state = state["random"]
        self._preprocessor.set_state(state["preprocessor"])
        self._observation, self._frame = state["observation"], self._preprocessor.frame
        self._lives, self._goes_on = state["lives"], state["goes_on"]

    def render(self) -> Any:
        return self.ale.getScreenRGB() if self.render_mode == "rgb_array" else None
