"""The actor-learner: synchronise, roll out, gradient, apply. One serves all methods, networks and environments."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from a3crepro.algorithms._algorithm import Outputs
from a3crepro.config import Config
from a3crepro.model import Model, Sizes, make_model
from a3crepro.networks._network import seeded
from a3crepro.optimizers._optimizer import annealed
from a3crepro.shared_state import FRAMES, NOT_FINITE, SNAPSHOT, TARGET, UPDATES, SharedState

PERSISTENT = 100
"""So many gradients in a row that are not finite end the run."""


@dataclass(frozen=True)
class Episode:
    """A whole game of an actor-learner, reported at its end."""

    frames: int
    """T, over all actor-learners."""
    thread: int
    score: float
    """Sum of the game's own, unclipped rewards."""
    episode_frames: int


@dataclass(frozen=True)
class Snapshot:
    """θ when T crossed a multiple of `evaluation.every`."""

    frames: int
    """The multiple."""
    parameters: np.ndarray


Report = Callable[[Episode | Snapshot], None]
Choose = Callable[[Outputs, "ActorLearner"], int]
"""From the network's outputs for a state to an action."""


@dataclass
class Rollout:
    """Steps that follow one another in one episode."""

    state: Any
    """The recurrent state before the first step."""
    frames_per_step: int
    observations: list[np.ndarray] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    """As the learner sees them: clipped, where the environment's settings say so."""
    discounts: list[float] = field(default_factory=list)
    """γ, or 0 where the state that was reached is terminal."""
    terminal: bool = False
    """The last state reached is terminal."""
    episode_ended: bool = False
    """The episode ended, at a terminal state or at a time limit."""

    @property
    def frames(self) -> int:
        return len(self.actions) * self.frames_per_step


class ActorLearner:
    """One of the paper's threads: an environment, a copy θ' of the parameters, and a gradient.

    Args:
      config: the run's configuration.
      shared: what it shares with the others.
      thread: its number, from 0.
      start: how often the run was started before; a run that goes on plays new games.
      report: takes an `Episode` at the end of each game and a `Snapshot` when T crosses a multiple of
        `evaluation.every` by this actor-learner's update.
    """

    def __init__(self, config: Config, shared: SharedState, thread: int, start: int, report: Report) -> None:
        self.algo, self.optimizer, self.shared = config.algo, config.optimizer, shared
        self.config, self.thread, self.seed, self.report = config, thread, config.seed, report
        self.env = config.env.make(training=True)
        self.rng = np.random.default_rng([config.seed, thread, start])
        self._env_seed: int | None = int(self.rng.integers(2**31))
        self._build_models()
        self.counters = shared.counters[thread].numpy()
        self.monitors = shared.monitors.numpy()
        self.statistics = shared.statistics[0 if self.optimizer.shares_statistics else thread].numpy()
        self._not_finite_in_a_row = 0
        self._decision: tuple[int, Any] | None = None
        self._start_episode()

    def _build_models(self) -> None:
        observation_space: Any = self.env.observation_space
        action_space: Any = self.env.action_space
        heads = self.algo.heads(int(action_space.n))
        network, shared, steps = self.config.network, self.shared, self.algo.max_steps

        def model(theta: Tensor, version: Callable[[], int] | None, slots: int, steps: int) -> Model:
            module = seeded(network, observation_space, heads, self.seed)
            return make_model(module, observation_space, theta, version, Sizes(slots, steps), network.implementation)

        version = None if self.algo.uses_thread_copy else shared.updates
        self.model = model(shared.parameters, version, steps + 1, steps)
        if self.algo.target_interval is not None:
            self.target = model(shared.target, shared.target_version, 8, 0)

    # ---- What the pseudocode says ------------------------------------------------------------------------------------

    def segment(self) -> None:
        """Once through the body of the method's loop: see `Algorithm.compute` and `Algorithm.write`."""
        self.algo.write(self, self.algo.compute(self))

    def synchronise(self) -> None:
        """Reads T and, for a method with a thread copy, θ' ← θ."""
        self.global_frames = self.shared.frames()
        self.model.synchronise()

    def roll_out(self, steps: int, choose: Choose) -> Rollout:
        """Acts for this many steps, or to the end of the episode."""
        if self._episode_ended:
            self._start_episode()
        rollout = Rollout(self.state, self.config.env.frames_per_step)
        while len(rollout.actions) < steps and not rollout.episode_ended:
            self._step(self.decide(choose), rollout)
        return rollout

    def decide(self, choose: Choose) -> int:
        """The action in the current state: chosen once, and taken by the next step."""
        if self._decision is None:
            outputs, state = self.model.outputs(self.observation, self.state)
            self._decision = choose(outputs, self), state
        return self._decision[0]

    def outputs(self) -> Outputs:
        """The network's outputs for the current state, at θ'."""
        return self.model.outputs(self.observation, self.state)[0]

    def target_outputs(self) -> Outputs:
        """The target network's outputs for the current state, at θ⁻ (and, with LSTM cells, in the state of θ')."""
        return self.target.outputs(self.observation, self.state)[0]

    def accumulate(self, rollout: Rollout, returns: np.ndarray) -> dict[str, np.ndarray]:
        """dθ ← dθ + ∂loss/∂θ', for these returns of the rollout's states; returns the network's outputs there."""
        return self.model.accumulate(rollout.observations, rollout.actions, returns, rollout.state, self.algo)

    def count(self, frames: int) -> None:
        """T ← T + frames."""
        self.counters[FRAMES] += frames

    def apply(self) -> None:
        """Asynchronous update of θ with dθ, clipped; then dθ ← 0. What is not finite is counted and never applied."""
        norm = self.model.gradient_norm()
        if math.isfinite(norm):
            rate = annealed(self.optimizer.lr, self.global_frames, self.config.anneal_frames)
            clip = min(1.0, self.algo.max_gradient_norm / norm) if norm else 1.0
            self.model.update(self.optimizer, self.statistics, rate, clip)
            self.counters[UPDATES] += 1
            self._not_finite_in_a_row = 0
        else:
            self._refuse()
        self.model.clear_gradient()
        self._snapshot()

    def update_target(self) -> None:
        """θ⁻ ← θ where T has crossed a multiple of I_target."""
        interval = self.algo.target_interval
        if interval is not None and self.shared.crossed(TARGET, interval) is not None:
            self.shared.update_target()

    # ---- What it does not say ----------------------------------------------------------------------------------------

    @property
    def own_frames(self) -> int:
        """Frames of this actor-learner alone."""
        return int(self.counters[FRAMES])

    @property
    def own_steps(self) -> int:
        """t: agent steps of this actor-learner alone."""
        return self.own_frames // self.config.env.frames_per_step

    def monitor(self, value: float) -> None:
        """Shows a number (the policy's entropy, ε) on the screen."""
        self.monitors[self.thread] = value

    def _start_episode(self) -> None:
        self.observation, _ = self.env.reset(seed=self._env_seed)
        if self._env_seed is not None:
            self._score, self._game_frames = 0.0, 0
        self._env_seed = None
        self.state = self.model.initial_state()
        self._decision = None
        self._episode_ended = False

    def _step(self, action: int, rollout: Rollout) -> None:
        observation, reward, terminated, truncated, info = self.env.step(action)
        assert self._decision is not None
        clip = self.config.env.reward_clip
        rollout.observations.append(self.observation)
        rollout.actions.append(action)
        rollout.rewards.append(float(reward) if clip is None else min(max(float(reward), -clip), clip))
        rollout.discounts.append(0.0 if terminated else self.algo.gamma)
        rollout.terminal = terminated
        rollout.episode_ended = self._episode_ended = terminated or truncated
        self.observation, self.state, self._decision = observation, self._decision[1], None
        self._keep_score(float(reward), info.get("game_over", terminated or truncated))

    def _keep_score(self, reward: float, game_over: bool) -> None:
        self._score += reward
        self._game_frames += self.config.env.frames_per_step
        if game_over:
            self.report(Episode(self.shared.frames(), self.thread, self._score, self._game_frames))
            self._score, self._game_frames = 0.0, 0

    def _refuse(self) -> None:
        self.counters[NOT_FINITE] += 1
        self._not_finite_in_a_row += 1
        if self._not_finite_in_a_row >= PERSISTENT:
            raise FloatingPointError(f"{PERSISTENT} gradients in a row were not finite; none of them was applied")

    def _snapshot(self) -> None:
        every = self.config.evaluation.every
        if not every or not self.config.evaluation.episodes:
            return
        frames = self.shared.crossed(SNAPSHOT, every)
        if frames is not None and frames < self.config.frames:  # the final evaluation is everybody's
            self.report(Snapshot(frames, self.shared.parameters.numpy().copy()))
