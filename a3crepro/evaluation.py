"""Scoring a policy: whole games, unclipped scores, in a process of its own.

Given θ, an evaluation depends on the run's seed and the frame count alone.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch

from a3crepro.config import Config
from a3crepro.environments._environment import Action, ActionSpace, finite, random_action
from a3crepro.model import Sizes, make_model
from a3crepro.networks._network import parameter_count, seeded
from a3crepro.processes import Child
from a3crepro.scaling import Scaling
from a3crepro.shared_state import Learnt


class Policy(Protocol):
    """Chooses actions, one after another."""

    def start_episode(self, env: gym.Env[Any, Any]) -> None:
        """Forgets what a recurrent state holds; `env`, which has been reset, is for scripted players."""

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        """The action in this state, in agent steps one after another."""


class NetworkPolicy:
    """The policy of a network that has learnt this much, as `algo` scores it."""

    def __init__(self, config: Config, learnt: Learnt) -> None:
        space, actions = config.env.spaces()
        module = seeded(config.network, space, config.algo.heads(actions), config.seed)
        theta = torch.from_numpy(learnt.parameters.astype(np.float32))
        if theta.numel() != parameter_count(module):
            raise ValueError(f"{theta.numel()} parameters, but the network has {parameter_count(module)}")
        self.model = make_model(module, space, theta, None, Sizes(8, 0), config.network.implementation)
        self.algo, self.scale = config.algo, Scaling(learnt.sums)
        self.state = self.model.initial_state()

    def start_episode(self, env: gym.Env[Any, Any] | None = None) -> None:
        self.state = self.model.initial_state()

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        outputs, self.state = self.model.outputs(self.scale(observation), self.state)
        return self.algo.act_in_evaluation(outputs, rng)


class RandomPolicy:
    """Actions drawn uniformly."""

    def __init__(self, actions: ActionSpace) -> None:
        self.actions = actions

    def start_episode(self, env: gym.Env[Any, Any] | None = None) -> None:
        pass

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        return random_action(self.actions, rng)


class ConstantPolicy:
    """The same action in every state, or, where actions are vectors, that and normal noise: a Gaussian policy that does
    not look."""

    def __init__(self, action: Action, noise: float = 0.0) -> None:
        """Keeps the action.

        Args:
          noise: the standard deviation of each component; 0 where actions are numbers.
        """
        self.action, self.noise = action, noise

    def start_episode(self, env: gym.Env[Any, Any] | None = None) -> None:
        pass

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        if not self.noise:
            return self.action
        return np.asarray(rng.normal(self.action, self.noise), np.float32)


@dataclass(frozen=True)
class Scores:
    """The scores of an evaluation's games."""

    frames: int
    scores: list[float]

    def summary(self) -> dict[str, float | int]:
        """Mean, median, standard deviation and number of games."""
        scores = np.asarray(self.scores)
        return {
            "score_mean": float(scores.mean()),
            "score_median": float(np.median(scores)),
            "score_std": float(scores.std()),
            "episodes": len(scores),
        }


def play_episode(
    env: gym.Env[Any, Any],
    policy: Policy,
    rng: np.random.Generator,
    max_steps: int,
    show: Callable[[], None] | None = None,
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> float:
    """The score of one game, cut off after `max_steps` agent steps.

    `show` is called at each state, `tell` with the `info` of each step.
    """
    observation, _ = env.reset(seed=int(rng.integers(2**31)))
    policy.start_episode(env)
    score = 0.0
    for _ in range(max_steps):
        if show:
            show()
        observation, reward, terminated, truncated, info = env.step(policy.act(observation, rng))
        score += finite(reward, env)
        if tell:
            tell(info)
        if terminated or truncated:
            break
    return score


def evaluate(
    config: Config,
    policy: Policy,
    seed: int,
    frames: int,
    episodes: int,
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> Iterator[float]:
    """The scores of so many games, whose randomness depends on `seed` and `frames` alone."""
    env = config.env.make(training=False)
    try:
        for episode in range(episodes):
            rng = np.random.default_rng([seed, frames, episode])
            yield play_episode(env, policy, rng, config.max_evaluation_steps, tell=tell)
    finally:
        env.close()


class Counts:
    """What an environment counts beside the score, added up over games."""

    def __init__(self, config: Config) -> None:
        self._sums = dict.fromkeys(config.env.counted, 0.0)

    def __call__(self, info: dict[str, Any]) -> None:
        """Adds what a step brought."""
        for key in self._sums:
            self._sums[key] += info[key]

    def of_a_game(self, games: int) -> dict[str, float]:
        """Means over so many games."""
        return {key: total / games for key, total in self._sums.items()}


class Evaluator:
    """The process that scores snapshots of θ, one after another, the one of fewest frames first."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._child: Child | None = None
        self._waiting: dict[int, Learnt] = {}
        self._current: int | None = None

    def submit(self, frames: int, learnt: Learnt) -> None:
        """Queues what was learnt in so many frames."""
        self._waiting[frames] = learnt

    @property
    def busy(self) -> bool:
        return self._current is not None or bool(self._waiting)

    @property
    def child(self) -> Child | None:
        """The process, once there was something to do."""
        return self._child

    def poll(self) -> Iterator[Scores]:
        """The evaluations that are done, without waiting.

        Raises:
          ProcessDied: the process raised an exception or was killed.
        """
        if self._child is not None:
            for scores in self._child.receive():
                self._current = None
                yield scores
        if self._current is None and self._waiting:
            if self._child is None:
                self._child = Child("the evaluator", _score_snapshots, self.config)
            self._current = min(self._waiting)
            self._child.connection.send((self._current, self._waiting.pop(self._current)))

    def end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def _score_snapshots(connection: Connection, config: Config) -> None:
    while True:
        frames, learnt = connection.recv()
        policy = NetworkPolicy(config, learnt)
        scores = list(evaluate(config, policy, config.seed, frames, config.evaluation.episodes))
        connection.send(Scores(frames, scores))
        del policy
        gc.collect()  # an environment and its wrappers hold each other: until then, those of each evaluation pile up
