"""Evaluates a policy: whole episodes and unclipped scores, in a process of its own.

Given θ, an evaluation depends on nothing but the run's seed and the frame count.
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym
import numpy as np

from a3crepro.common.processes import Child
from a3crepro.config import Config
from a3crepro.environments._environment import checked_reward
from a3crepro.learner.shared_state import PolicySnapshot
from a3crepro.runs.checkpoint import PendingEvaluation
from a3crepro.runs.policies import EvaluationPolicy, NetworkPolicy, PolicyStatistics

StepCallback = Callable[[Mapping[str, Any]], None]
"""Called with the `info` of each step."""


@dataclass(frozen=True)
class EvaluationResult:
    """The scores of an evaluation's episodes."""

    frames: int
    scores: list[float]
    entropy: float | None = None
    """Mean over the agent steps, in nats; None for a policy without entropy."""
    action_frequencies: Sequence[float] = ()
    """The share of each discrete action; empty for continuous ones."""

    def summary(self) -> dict[str, float | int]:
        """Mean, median and standard deviation of the scores, and the number of episodes."""
        return {
            "score_mean": float(np.mean(self.scores)),
            "score_median": float(np.median(self.scores)),
            "score_std": float(np.std(self.scores)),
            "episodes": len(self.scores),
        }


def play_episode(
    env: gym.Env[Any, Any],
    policy: EvaluationPolicy,
    rng: np.random.Generator,
    max_steps: int,
    before_step: Callable[[], None] | None = None,
    after_step: StepCallback | None = None,
) -> float:
    """Plays one episode, cut off after `max_steps` agent steps, and returns its score."""
    observation, _ = env.reset(seed=int(rng.integers(2**31)))
    policy.start_episode(env)
    score = 0.0
    for _ in range(max_steps):
        if before_step:
            before_step()
        observation, reward, terminated, truncated, info = env.step(policy.act(observation, rng))
        score += checked_reward(reward, env)
        if after_step:
            after_step(info)
        if terminated or truncated:
            break
    return score


def episode_rng(seed: int, frames: int, episode: int) -> np.random.Generator:
    """The randomness of an episode of an evaluation, counted from 0; with it, the episode can be repeated."""
    return np.random.default_rng([seed, frames, episode])


def evaluate(
    config: Config,
    policy: EvaluationPolicy,
    seed: int,
    frames: int,
    episodes: int,
    after_step: StepCallback | None = None,
) -> Iterator[float]:
    """Yields the scores of episodes, whose randomness depends on `seed` and `frames` only."""
    env = config.env.make(training=False)
    try:
        for episode in range(episodes):
            rng = episode_rng(seed, frames, episode)
            yield play_episode(env, policy, rng, config.max_evaluation_steps, after_step=after_step)
    finally:
        env.close()


class InfoSums:
    """Sums over steps of the entries of `info` that an environment counts besides the score."""

    def __init__(self, config: Config) -> None:
        self._sums = dict.fromkeys(config.env.counted_info, 0.0)

    def __call__(self, info: Mapping[str, Any]) -> None:
        """Adds a step."""
        for key in self._sums:
            self._sums[key] += info[key]

    def per_episode(self, episodes: int) -> dict[str, float]:
        return {key: total / episodes for key, total in self._sums.items()}


class Evaluator:
    """Evaluates policies in a process of its own, one after another, the one of fewest frames first."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.child: Child | None = None
        """The process; None before the first evaluation."""
        self._current: int | None = None

    def poll(self, pending: Mapping[int, PendingEvaluation]) -> Iterator[EvaluationResult]:
        """Yields the finished evaluations, which the caller then removes from `pending`, without waiting.

        Raises:
          ProcessDied: the process raised an exception or was killed.
        """
        if self.child is not None:
            for result in self.child.receive():
                self._current = None
                yield result
        if self._current is None and pending:
            if self.child is None:
                self.child = Child("the evaluator", _evaluate_snapshots, self.config)
            self._current = min(pending)
            snapshot = PolicySnapshot(pending[self._current].parameters, pending[self._current].sums)
            try:
                self.child.connection.send((self._current, snapshot))
            except OSError:  # it has died, of what `receive` says
                yield from self.child.receive()
                raise

    def end(self) -> None:
        if self.child is not None:
            self.child.end()
            self.child = None


def _evaluate_snapshots(connection: Connection, config: Config) -> None:
    while True:
        frames, snapshot = connection.recv()
        statistics = PolicyStatistics()
        policy = NetworkPolicy(config, snapshot, statistics)
        scores = list(evaluate(config, policy, config.seed, frames, config.evaluation.episodes))
        frequencies = statistics.frequencies(config.env.spaces()[1])
        connection.send(EvaluationResult(frames, scores, statistics.entropy, frequencies))
        del policy
        gc.collect()  # frees environments, whose wrappers refer to each other
