"""Scoring a policy: whole games, unclipped scores, in a process of its own.

Given θ, an evaluation depends on the run's seed and the frame count alone.
"""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch

from a3crepro.common.processes import Child
from a3crepro.config import Config
from a3crepro.environments._environment import Action, ActionSpace, checked_reward, random_action
from a3crepro.learner.scaling import Scaling
from a3crepro.learner.shared_state import Learnt
from a3crepro.models.make_model import make_model
from a3crepro.models.model import Sizes
from a3crepro.networks._network import parameter_count, seeded


class Policy(Protocol):
    """Chooses actions, one after another."""

    def start_episode(self, env: gym.Env[Any, Any]) -> None:
        """Forgets what a recurrent state holds; `env`, which has been reset, is for scripted players."""

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        """The action in this state, in agent steps one after another."""


class Behaviour:
    """What a policy did in the states that it met: its mean entropy, and how often it took each action."""

    def __init__(self) -> None:
        self.states, self._entropy = 0, 0.0
        self._taken: Counter[int] = Counter()

    def add(self, entropy: float | None, action: Action) -> None:
        """Takes note of a state."""
        self.states += 1
        self._entropy += math.nan if entropy is None else entropy
        if not isinstance(action, np.ndarray):
            self._taken[int(action)] += 1

    @property
    def entropy(self) -> float | None:
        """In nats; None where the policy has none, or met no state."""
        mean = self._entropy / self.states if self.states else math.nan
        return None if math.isnan(mean) else mean

    def frequencies(self, actions: ActionSpace) -> list[float]:
        """Share of each action, of discrete ones; nothing where actions are vectors."""
        if not isinstance(actions, gym.spaces.Discrete):
            return []
        return [self._taken[action] / max(1, self.states) for action in range(int(actions.n))]


class NetworkPolicy:
    """The policy of a network that has learnt this much, as `algo` scores it."""

    def __init__(self, config: Config, learnt: Learnt, behaviour: Behaviour | None = None) -> None:
        space, actions = config.env.spaces()
        module = seeded(config.network, space, config.algo.heads(actions), config.seed)
        theta = torch.from_numpy(learnt.parameters.astype(np.float32))
        if theta.numel() != parameter_count(module):
            raise ValueError(f"{theta.numel()} parameters, but the network has {parameter_count(module)}")
        self.model = make_model(module, space, theta, None, Sizes(8, 0), config.network.implementation)
        self.algo, self.scale, self.behaviour = config.algo, Scaling(learnt.sums), behaviour
        self.state = self.model.initial_state()

    def start_episode(self, env: gym.Env[Any, Any] | None = None) -> None:
        self.state = self.model.initial_state()

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        outputs, self.state = self.model.outputs(self.scale(observation), self.state)
        action = self.algo.act_in_evaluation(outputs, rng)
        if self.behaviour is not None:
            one_state = {name: output[None] for name, output in outputs.items()}
            self.behaviour.add(self.algo.entropy(one_state), action)
        return action


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
    entropy: float | None = None
    """Mean over the states of these games, in nats; None for a policy without one."""
    action_frequencies: Sequence[float] = ()
    """Share of each action in these games; nothing where actions are vectors."""

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
        score += checked_reward(reward, env)
        if tell:
            tell(info)
        if terminated or truncated:
            break
    return score


def game_randomness(seed: int, frames: int, episode: int) -> np.random.Generator:
    """What a game of an evaluation is played with, its number counted from 0: by it the game can be played again."""
    return np.random.default_rng([seed, frames, episode])


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
            rng = game_randomness(seed, frames, episode)
            yield play_episode(env, policy, rng, config.max_evaluation_steps, tell=tell)
    finally:
        env.close()


class Counts:
    """What an environment counts beside the score, added up over games."""

    def __init__(self, config: Config) -> None:
        self._sums = dict.fromkeys(config.env.counted_info, 0.0)

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
        behaviour = Behaviour()
        policy = NetworkPolicy(config, learnt, behaviour)
        scores = list(evaluate(config, policy, config.seed, frames, config.evaluation.episodes))
        connection.send(Scores(frames, scores, behaviour.entropy, behaviour.frequencies(config.env.spaces()[1])))
        del policy
        gc.collect()  # an environment and its wrappers hold each other: until then, those of each evaluation pile up
