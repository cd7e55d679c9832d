"""The base class of environments' configurations, and what the learner and evaluations need of any environment."""

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import gymnasium as gym
import numpy as np

from a3crepro.common.config_model import (
    ComponentConfig,
    ConfigModel,
    Count,
    NonNegativeFloat,
    PositiveCount,
    PositiveFloat,
    RolloutLength,
)
from a3crepro.common.errors import EnvironmentFault, UserError
from a3crepro.common.rollout import Action as Action
from a3crepro.common.serialization import PyTree

ActionSpace = gym.spaces.Discrete | gym.spaces.Box
"""Discrete actions from 0, or real vectors."""
Spaces = tuple[gym.spaces.Box, ActionSpace]
"""Observation space and action space."""


class ScriptedPolicy(Protocol):
    """A hand-written policy, which may read the state of the environment."""

    def start_episode(self, env: gym.Env[Any, Any]) -> None:
        """Called after each reset."""

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        """Returns an action."""


class Schedule(ConfigModel):
    """Defaults that suit an environment, for keys of other groups. Where one is absent, that group's own applies.

    Durations are in environment frames over all actor-learners.
    """

    t_max: RolloutLength | None = None
    """Default of `algo.t_max`, the longest rollout, in agent steps."""
    entropy_beta: NonNegativeFloat | None = None
    """Default of `algo.entropy_beta`, A3C's weight of the entropy."""
    gaussian_entropy_cost: NonNegativeFloat | None = None
    """Default of `algo.gaussian.entropy_cost`."""
    gaussian_bounded: bool = False
    """Default of `algo.gaussian.bounded`."""
    lr: PositiveFloat | None = None
    """Default of `optimizer.lr` with RMSProp."""
    rmsprop_epsilon: PositiveFloat | None = None
    """Default of `optimizer.epsilon` with RMSProp."""
    lr_anneal_frames: Count | None = None
    """Default of `optimizer.anneal_frames`."""
    frames: Count | None = None
    """Default of `frames`, the training budget."""
    target_update_frames: PositiveCount | None = None
    """Default of `algo.target_update_frames`, I_target: frames between updates of the target network."""
    epsilon_anneal_frames: Count | None = None
    """Default of `algo.exploration.anneal_frames`, over which ε falls linearly from 1 to its final value."""
    epsilon_redraw_frames: PositiveCount | None = None
    """Default of `algo.exploration.redraw_frames`: an actor-learner's own frames between draws of its final ε."""
    evaluation_frames: Count | None = None
    """Default of `evaluation.every`."""
    max_evaluation_frames: PositiveCount | None = None
    """Default of `evaluation.max_frames`."""


class Environment(ComponentConfig, ABC):
    """Configuration of an environment, and its factory.

    Observations are arrays of a `Box` space, uint8 or float32. Actions are numbers from 0, of a `Discrete` space, or
    float32 vectors, of a `Box` space of shape [n]; vectors may exceed the bounds. `info["game_over"]` is optional: it
    tells the end of a game from the end of the learner's episode (a lost life).
    """

    has_keyboard_controls: ClassVar[bool] = False
    """Whether you can play it with `a3crepro.play`."""
    counted_info: ClassVar[tuple[str, ...]] = ()
    """Entries of `info` that evaluations sum over an episode and report beside the score."""

    reward_clip: PositiveFloat | None
    """The learner's rewards are clipped to [-reward_clip, reward_clip]; null: not clipped. Scores are never clipped."""
    schedule: Schedule = Schedule()

    @property
    def frames_per_step(self) -> int:
        """Environment frames in one agent step."""
        return 1

    @property
    def normalises(self) -> bool:
        """Whether the learner's observations are normalised by running statistics."""
        return False

    @property
    def episode_steps(self) -> int | None:
        """Upper bound of an episode's agent steps; None: unknown."""
        return None

    @property
    def title(self) -> str:
        """Name for people, e.g. `atari/breakout`."""
        return "/".join([self.name, *(getattr(self, key) for key in ("game", "id", "task") if hasattr(self, key))])

    def scripted_policies(self) -> Mapping[str, ScriptedPolicy]:
        """Reference policies by name; an `expert` sees the true state."""
        return {}

    def action_from_keys(self, env: gym.Env[np.ndarray, Any], keys: frozenset[str]) -> Action | None:
        """The action for the keys that are down (`play.KEYS`); None: wait."""
        return None

    def modules_to_preload(self) -> list[str]:
        """Modules that worker processes import before they fork."""
        return [type(self).__module__]

    @abstractmethod
    def make(self, *, training: bool, render: bool = False) -> gym.Env[np.ndarray, Any]:
        """Makes an environment for an actor-learner (`training`), or for an evaluation, which plays whole games.

        With `render`, `env.render()` returns an RGB frame, uint8 [height, width, 3].
        """

    def get_state(self, env: gym.Env[np.ndarray, Any]) -> PyTree | None:
        """Everything that the future of an environment depends on; None if that is not available."""
        tree: PyTree = env.get_state() if hasattr(env, "get_state") else None
        return tree

    def supports_exact_resume(self) -> bool:
        """Whether a run can resume exactly in the middle of an episode."""
        with contextlib.closing(self.make(training=True)) as env:
            env.reset(seed=0)
            return self.get_state(env) is not None

    def set_state(self, env: gym.Env[np.ndarray, Any], state: PyTree) -> None:
        """Restores a state that `get_state` returned for an environment of the same configuration."""
        env.set_state(state)  # type: ignore[attr-defined]

    def spaces(self) -> Spaces:
        """Makes an environment for its spaces; raises what `spaces_of` raises."""
        with contextlib.closing(self.make(training=False)) as env:
            return spaces_of(env)

    def make_headless(self) -> gym.Env[np.ndarray, Any]:
        """Makes an environment that draws no observations, where drawing can be left out."""
        return self.make(training=False)

    def emulator(self, seed: int) -> Callable[[], None]:
        """Returns a function that takes one random agent step and does as little else as possible, for benchmarks."""
        env = self.make_headless()
        rng = np.random.default_rng(seed)
        env.reset(seed=seed)
        _, actions = spaces_of(env)

        def step() -> None:
            _, _, terminated, truncated, _ = env.step(random_action(actions, rng))
            if terminated or truncated:
                env.reset()

        return step


class NormalisableEnvironment(Environment):
    """An environment with an option to normalise observations."""

    normalise_observations: bool
    """Normalise each component by its running mean and standard deviation over all actor-learners.

    Both are updated when the number of observations has grown by a hundredth.
    """

    @property
    def normalises(self) -> bool:
        return self.normalise_observations


def spaces_of(env: gym.Env[np.ndarray, Any]) -> Spaces:
    """Observation and action space of an environment that an `Environment` has made.

    Raises:
      UserError: spaces that nothing can be learnt with; the line says which are allowed.
    """
    observations, actions = env.observation_space, env.action_space
    if not (isinstance(observations, gym.spaces.Box) and observations.dtype in (np.uint8, np.float32)):
        raise UserError(
            f"env: {env_name(env)} has the observation space {_in_one_line(observations)}; "
            "allowed: a Box of uint8 or float32"
        )
    if isinstance(actions, gym.spaces.Discrete) and actions.start == 0:
        return observations, actions
    if isinstance(actions, gym.spaces.Box) and len(actions.shape) == 1:
        return observations, actions
    raise UserError(
        f"env: {env_name(env)} has the action space {_in_one_line(actions)}; "
        "allowed: Discrete with start=0, or a Box of shape [n]"
    )


def _in_one_line(space: gym.Space[Any]) -> str:
    return " ".join(str(space).split())


def random_action(space: ActionSpace, rng: np.random.Generator) -> Action:
    """Samples uniformly; unbounded components from the standard normal distribution."""
    if isinstance(space, gym.spaces.Discrete):
        return int(rng.integers(space.n))
    bounded = np.isfinite(space.low) & np.isfinite(space.high)
    low, high = np.where(bounded, space.low, 0), np.where(bounded, space.high, 0)
    return np.where(bounded, rng.uniform(low, high), rng.normal(size=space.shape)).astype(np.float32)


def env_name(env: gym.Env[Any, Any]) -> str:
    """The registered id of an environment, or else its class."""
    return env.unwrapped.spec.id if env.unwrapped.spec else type(env.unwrapped).__name__


def checked_reward(reward: Any, env: gym.Env[Any, Any]) -> float:
    """Converts a reward, which may be an array with one element, to a float.

    Raises:
      EnvironmentFault: the reward is not a finite number.
    """
    if type(reward) is float and math.isfinite(reward):
        return reward
    array = np.asarray(reward)
    number = float(array.item()) if array.size == 1 and array.dtype.kind in "biuf" else math.nan
    if not math.isfinite(number):
        shown = " ".join(repr(reward).split())[:100]
        raise EnvironmentFault(f"{env_name(env)}: step returned the reward {shown}; needs one finite number")
    return number
