"""What all environments have in common, whatever library they come from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import gymnasium as gym
import numpy as np

from a3crepro.common.plain import Tree
from a3crepro.common.rollout import Action as Action
from a3crepro.common.settings import (
    Component,
    Count,
    EnvironmentFault,
    NonNegativeFloat,
    PositiveCount,
    PositiveFloat,
    RolloutLength,
    Settings,
)

ActionSpace = gym.spaces.Discrete | gym.spaces.Box
"""Actions from 0 on, or vectors."""
Spaces = tuple[gym.spaces.Box, ActionSpace]
"""Of the observations and of the actions."""


class Player(Protocol):
    """Plays by rule."""

    def start_episode(self, env: gym.Env[Any, Any]) -> None:
        """Looks into the environment that is played, which has been reset."""

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        """The action in this state."""


class Schedule(Settings):
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


class Environment(Component, ABC):
    """Settings from which environments are made.

    The observations are arrays of a `Box` space; `info["game_over"]`, where it is given, tells the end of a whole game
    from the end of an episode of the learner (a lost life).
    """

    plays_by_keys: ClassVar[bool] = False
    """Whether a person can play it in a window."""
    counted: ClassVar[tuple[str, ...]] = ()
    """Entries of `info` that are added up in the games by which a policy is described."""

    reward_clip: PositiveFloat | None
    """The learner sees rewards clipped to [-reward_clip, reward_clip]; null: as they are. Scores are never clipped."""
    schedule: Schedule = Schedule()

    @property
    def frames_per_step(self) -> int:
        """Environment frames in one agent step."""
        return 1

    @property
    def normalises(self) -> bool:
        """Whether the learner sees observations shifted and scaled by what all actor-learners have seen so far."""
        return False

    @property
    def episode_steps(self) -> int | None:
        """The most agent steps that an episode can have; None: no limit is known."""
        return None

    @property
    def title(self) -> str:
        """What a person calls it, e.g. `atari/breakout`."""
        return "/".join([self.name, *(getattr(self, key) for key in ("game", "id", "task") if hasattr(self, key))])

    def players(self) -> Mapping[str, Player]:
        """Scripted players by name, references for scores; `expert`, where there is one, sees the true state."""
        return {}

    def pressed(self, env: gym.Env[np.ndarray, Any], keys: frozenset[str]) -> Action | None:
        """The action that a person means by the keys that are down (`play.KEYS`); None: wait."""
        return None

    def modules(self) -> list[str]:
        """What a process that makes such environments imports."""
        return [type(self).__module__]

    @abstractmethod
    def make(self, *, training: bool, render: bool = False) -> gym.Env[np.ndarray, Any]:
        """A new environment, for an actor-learner (`training`) or for an evaluation, which plays whole games.

        With `render`, its `render()` returns an RGB picture of shape [height, width, 3].
        """

    def state(self, env: gym.Env[np.ndarray, Any]) -> Tree | None:
        """Everything that an environment's future depends on, or None where it cannot be told."""
        tree: Tree = env.get_state() if hasattr(env, "get_state") else None
        return tree

    def tells_its_state(self) -> bool:
        """Whether a run can go on in the middle of a game."""
        env = self.make(training=True)
        try:
            env.reset(seed=0)
            return self.state(env) is not None
        finally:
            env.close()

    def restore(self, env: gym.Env[np.ndarray, Any], state: Tree) -> None:
        """Brings an environment to a state that `state` told of one with the same settings."""
        env.set_state(state)  # type: ignore[attr-defined]

    def spaces(self) -> Spaces:
        """The spaces of the observations and of the actions, of an environment made for this."""
        env = self.make(training=False)
        try:
            return spaces_of(env)
        finally:
            env.close()

    def undrawn(self) -> gym.Env[np.ndarray, Any]:
        """An environment that goes on as one of an evaluation, without drawing what only a player needs."""
        return self.make(training=False)

    def emulator(self, seed: int) -> Callable[[], None]:
        """One random agent step a call and as little else as possible: the speed that no learner can exceed."""
        env = self.undrawn()
        rng = np.random.default_rng(seed)
        env.reset(seed=seed)
        _, actions = spaces_of(env)

        def step() -> None:
            _, _, terminated, truncated, _ = env.step(random_action(actions, rng))
            if terminated or truncated:
                env.reset()

        return step


class Scalable(Environment):
    """An environment whose observations may be shifted and scaled."""

    normalise_observations: bool
    """Shift and scale each component by the mean and standard deviation of what all actor-learners have seen.

    Both are renewed whenever a hundredth more has been seen.
    """

    @property
    def normalises(self) -> bool:
        return self.normalise_observations


def spaces_of(env: gym.Env[np.ndarray, Any]) -> Spaces:
    """The spaces of an environment's observations and actions."""
    assert isinstance(env.observation_space, gym.spaces.Box)
    assert isinstance(env.action_space, gym.spaces.Discrete | gym.spaces.Box)
    return env.observation_space, env.action_space


def random_action(space: ActionSpace, rng: np.random.Generator) -> Action:
    """One drawn uniformly; of a component without bounds, from the standard normal distribution."""
    if isinstance(space, gym.spaces.Discrete):
        return int(rng.integers(space.n))
    bounded = np.isfinite(space.low) & np.isfinite(space.high)
    low, high = np.where(bounded, space.low, 0), np.where(bounded, space.high, 0)
    return np.where(bounded, rng.uniform(low, high), rng.normal(size=space.shape)).astype(np.float32)


def name_of(env: gym.Env[Any, Any]) -> str:
    """The id that an environment is registered by, or else its class."""
    return env.unwrapped.spec.id if env.unwrapped.spec else type(env.unwrapped).__name__


def finite(reward: Any, env: gym.Env[Any, Any]) -> float:
    """A reward of an environment's as a number; it may be an array of one, too.

    Raises:
      EnvironmentFault: it is no number, or not a finite one; the line names the environment.
    """
    if type(reward) is float and math.isfinite(reward):
        return reward
    array = np.asarray(reward)
    number = float(array.item()) if array.size == 1 and array.dtype.kind in "biuf" else math.nan
    if not math.isfinite(number):
        shown = " ".join(repr(reward).split())[:100]
        raise EnvironmentFault(f"{name_of(env)}: step returned the reward {shown}; needs one finite number")
    return number
