"""The actor-learner: synchronise, roll out, gradient, apply. One serves all methods, networks and environments."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from a3crepro.algorithms._algorithm import Outputs
from a3crepro.config import Config
from a3crepro.environments._environment import Action, Spaces, finite, spaces_of
from a3crepro.model import Answer, Model, Sizes, make_model
from a3crepro.networks._network import seeded
from a3crepro.optimizers._optimizer import annealed
from a3crepro.plain import Tree
from a3crepro.scaling import Scaling, add_observation
from a3crepro.settings import UserError
from a3crepro.shared_state import COPY, FRAMES, NOT_FINITE, SNAPSHOT, TARGET, UPDATES, Learnt, SharedState

PERSISTENT = 100
"""So many gradients in a row that are not finite end the run."""


class Interrupted(Exception):
    """The run is to stop, and a rollout that is a whole episode was not over: its actor-learner is where it began."""


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
    learnt: Learnt
    share_above_epsilon: float | None = None
    """Of the optimizer's statistics g at this moment, those above its ε; None where it has no ε."""


@dataclass(frozen=True)
class Copy:
    """θ and g when T crossed a multiple of `checkpoint.copies_every`, to be kept."""

    frames: int
    """The multiple."""
    learnt: Learnt
    statistics: np.ndarray


Report = Callable[[Episode | Snapshot | Copy], None]


@dataclass
class Rollout:
    """Steps that follow one another in one episode."""

    state: Any
    """The recurrent state before the first step."""
    frames_per_step: int
    observations: list[np.ndarray] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
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

    def is_complete(self, steps: int | None) -> bool:
        """Whether it has so many steps (None: no number is enough), or the episode has ended."""
        return self.episode_ended or (steps is not None and len(self.actions) >= steps)


class Models(NamedTuple):
    """The networks of an actor-learner; several of one process can share what is no gradient."""

    model: Model
    """At θ' or, for a method without a thread copy, at the shared θ."""
    target: Model | None
    """At θ⁻."""

    def siblings(self) -> Models:
        """Models of another actor-learner of this process."""
        return Models(self.model.sibling(), self.target)

    def get_state(self) -> Tree:
        """What siblings share, beside the parameters."""
        return [None if model is None else model.get_shared_state() for model in self]

    def set_state(self, state: Tree) -> None:
        """Goes on from there, where the parameters are as they were."""
        for model, part in zip(self, state, strict=True):
            if model is not None:
                model.set_shared_state(part)


def make_models(config: Config, shared: SharedState, spaces: Spaces, lanes: int = 0) -> Models:
    """The networks of one actor-learner, or of so many that act together, where there are lanes."""
    network, algo, (observation_space, actions) = config.network, config.algo, spaces
    heads, steps = algo.heads(actions), config.rollout_steps

    def model(theta: Tensor, version: Callable[[], int] | None, sizes: Sizes) -> Model:
        module = seeded(network, observation_space, heads, config.seed)
        return make_model(module, observation_space, theta, version, sizes, network.implementation)

    version = None if algo.uses_thread_copy else shared.updates
    learnt = model(shared.parameters, version, Sizes(steps + 1, steps * max(1, lanes), lanes))
    if algo.target_interval is None:
        return Models(learnt, None)
    return Models(learnt, model(shared.target, shared.target_version, Sizes(8, 0, lanes)))


def share_above_epsilon(config: Config, shared: SharedState) -> float | None:
    """Share of the optimizer's statistics g that exceed its ε; None where it has no ε."""
    epsilon: float | None = getattr(config.optimizer, "epsilon", None)
    return None if epsilon is None else shared.share_above(epsilon)


def step_size(config: Config, frames: int, norm: float) -> tuple[float, float]:
    """The learning rate at T, and the factor that a gradient of this norm is clipped with."""
    rate = annealed(config.optimizer.lr, frames, config.anneal_frames)
    return rate, min(1.0, config.algo.max_gradient_norm / norm) if norm else 1.0


class ActorLearner:
    """One of the paper's threads: an environment, a copy θ' of the parameters, and a gradient.

    Args:
      config: the run's configuration.
      shared: what it shares with the others.
      thread: its number, from 0.
      start: how often the run was started before; a run that goes on plays new games.
      report: takes an `Episode` at the end of each game, and a `Snapshot` and a `Copy` when T crosses a multiple of
        `evaluation.every` and of `checkpoint.copies_every` by this actor-learner's update.
      models: its networks; made here, unless it shares them with others of this process.
    """

    def __init__(
        self,
        config: Config,
        shared: SharedState,
        thread: int,
        start: int,
        report: Report,
        models: Models | None = None,
    ) -> None:
        self.algo, self.optimizer, self.shared = config.algo, config.optimizer, shared
        self.config, self.thread, self.seed, self.report = config, thread, config.seed, report
        self.env = config.env.make(training=True)
        self.rng = np.random.default_rng([config.seed, thread, start])
        self._env_seed: int | None = int(self.rng.integers(2**31))
        self.models = models or make_models(config, shared, spaces_of(self.env))
        self.model = self.models.model
        self.global_frames = 0
        self.counters = shared.counters[thread].numpy()
        self.monitors = shared.monitors.numpy()
        self.statistics = shared.statistics[thread if len(shared.statistics) > 1 else 0].numpy()
        self.staleness = shared.staleness[thread].numpy()
        self.sums = shared.sums[thread].numpy()
        self._seen = np.zeros(self.sums.size)
        self.scale = Scaling(self._seen)
        self._read_at: list[int] = []
        self._not_finite_in_a_row = 0
        self._decision: tuple[Action, Any] | None = None
        self.can_be_interrupted = self.algo.max_steps is None and not config.execution.makes_one_update
        self._start_episode()

    # ---- What the pseudocode says ------------------------------------------------------------------------------------

    def compute(self) -> Rollout:
        """The first half of the loop's body: see `Algorithm.compute`.

        Raises:
          Interrupted: the run is to stop, and a whole episode would take long.
        """
        if not self.can_be_interrupted:
            return self.algo.compute(self)
        before = copy.deepcopy(self.get_state())
        try:
            return self.algo.compute(self)
        except Interrupted:
            self.set_state(before)
            raise

    def write(self, rollout: Rollout) -> None:
        """The other half: see `Algorithm.write`."""
        self.algo.write(self, rollout)

    def segment(self) -> None:
        """Once through the body of the method's loop."""
        self.write(self.compute())

    def synchronise(self) -> None:
        """Reads T and, for a method with a thread copy, θ' ← θ."""
        self.read_shared(self.shared.frames())
        self.model.synchronise()

    def roll_out(self, steps: int | None) -> Rollout:
        """Acts for this many steps, or to the end of the episode; None: always to the end."""
        rollout = self.begin()
        while not rollout.is_complete(steps):
            if self.can_be_interrupted and self.shared.stopping:
                raise Interrupted
            self.decide()
            self.step(rollout)
        return rollout

    def begin(self) -> Rollout:
        """A rollout without a step yet; in a new episode, where the last one ended."""
        if self._episode_ended:
            self._start_episode()
        if self._seen.size and (scale := self.current_scale()) is not self.scale:
            self.scale, self.observation = scale, scale(self._unscaled)
        return Rollout(self.state, self.config.env.frames_per_step)

    def decide(self) -> Action:
        """The action in the current state: chosen once, and taken by the next step."""
        if self._decision is None:
            self.decide_from(*self.ask(self.model))
        assert self._decision is not None
        return self._decision[0]

    def decide_from(self, outputs: Outputs, state: Any) -> None:
        """Chooses from the network's outputs for the current state; `state` is the recurrent one after it."""
        self._decision = self.algo.choose(outputs, self), state

    def outputs(self) -> Outputs:
        """The network's outputs for the current state, at θ'."""
        return self.ask(self.model)[0]

    def target_outputs(self) -> Outputs:
        """The target network's outputs for the current state, at θ⁻ (and, with LSTM cells, in the state of θ')."""
        assert self.models.target is not None
        return self.ask(self.models.target)[0]

    def ask(self, model: Model) -> Answer:
        """A model's outputs for the current state, and the recurrent state after it."""
        return model.outputs(self.observation, self.state)

    def accumulate(self, rollout: Rollout, returns: np.ndarray) -> dict[str, np.ndarray]:
        """dθ ← dθ + ∂loss/∂θ', for these returns of the rollout's states; returns the network's outputs there."""
        return self.model.accumulate(rollout.observations, rollout.actions, returns, rollout.state, self.algo)

    def count(self, frames: int) -> None:
        """T ← T + frames."""
        self.counters[FRAMES] += frames
        if self._seen.size:
            self.sums += self._seen
            self._seen[:] = 0

    def apply(self) -> None:
        """Asynchronous update of θ with dθ, clipped; then dθ ← 0. What is not finite is counted and never applied."""
        norm = self.model.gradient_norm()
        self.count_staleness()
        if math.isfinite(norm):
            self.model.update(self.optimizer, self.statistics, *step_size(self.config, self.global_frames, norm))
        self.count_update(math.isfinite(norm))
        self.model.clear_gradient()
        self.snapshot()

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

    def read_shared(self, frames: int) -> None:
        """Takes note of T, and of how many updates θ has had."""
        self.global_frames = frames
        self._read_at.append(self.shared.updates())

    def current_scale(self) -> Scaling:
        """What scales observations, from what all actor-learners have seen."""
        return self.shared.scale()

    def monitor(self, value: float) -> None:
        """Shows a number (the policy's entropy, ε) on the screen."""
        self.monitors[self.thread] = value

    def _start_episode(self) -> None:
        observation, _ = self.env.reset(seed=self._env_seed)
        self._observe(observation)
        if self._env_seed is not None:
            self._score, self._game_frames = 0.0, 0
        self._env_seed = None
        self.state = self.model.initial_state()
        self._decision = None
        self._episode_ended = False

    def _observe(self, observation: np.ndarray) -> None:
        """Takes note of the state that was reached."""
        if self._seen.size:
            self._unscaled = observation
            add_observation(observation, self._seen)
        self.observation = self.scale(observation)

    def step(self, rollout: Rollout) -> None:
        """Takes the action that was decided on."""
        assert self._decision is not None
        action, state = self._decision
        observation, given, terminated, truncated, info = self.env.step(action)
        reward, clip = finite(given, self.env), self.config.env.reward_clip
        rollout.observations.append(self.observation)
        rollout.actions.append(action)
        rollout.rewards.append(reward if clip is None else min(max(reward, -clip), clip))
        rollout.discounts.append(0.0 if terminated else self.algo.gamma)
        rollout.terminal = terminated
        rollout.episode_ended = self._episode_ended = terminated or truncated
        self._observe(observation)
        self.state, self._decision = state, None
        self._keep_score(reward, info.get("game_over", terminated or truncated))

    def _keep_score(self, reward: float, game_over: bool) -> None:
        self._score += reward
        self._game_frames += self.config.env.frames_per_step
        if game_over:
            self.report(Episode(self.shared.frames(), self.thread, self._score, self._game_frames))
            self._score, self._game_frames = 0.0, 0

    def count_staleness(self) -> None:
        """For each gradient of the update that comes: how many updates θ has had since it was read."""
        now, last = self.shared.updates(), len(self.staleness) - 1
        for then in self._read_at:
            self.staleness[min(now - then, last)] += 1
        self._read_at.clear()

    def count_update(self, finite: bool) -> None:
        """Counts an update, or one that was refused.

        Raises:
          UserError: too many in a row were refused.
        """
        self.counters[UPDATES if finite else NOT_FINITE] += 1
        self._not_finite_in_a_row = 0 if finite else self._not_finite_in_a_row + 1
        if self._not_finite_in_a_row >= PERSISTENT:
            raise UserError(
                f"{PERSISTENT} gradients in a row were not finite, and none of them was applied: the learning rate is "
                f"too large (optimizer.lr={self.config.optimizer.lr:g}), or rewards or observations of "
                f"{self.config.env.title} are huge or not finite"
            )

    def snapshot(self) -> None:
        """Reports θ where T has crossed a multiple of `evaluation.every` or of `checkpoint.copies_every`."""
        every, shared = self.config.evaluation.every, self.shared
        if every and self.config.evaluation.episodes:
            frames = shared.crossed(SNAPSHOT, every)
            if frames is not None and frames < self.config.frames:  # the final evaluation is everybody's
                self.report(Snapshot(frames, shared.learnt(), share_above_epsilon(self.config, shared)))
        copies = self.config.checkpoint.copies_every
        if copies and (frames := shared.crossed(COPY, copies)) is not None:
            self.report(Copy(frames, shared.learnt(), shared.statistics.numpy().copy()))

    # ---- To go on later, exactly -------------------------------------------------------------------------------------

    def get_state(self) -> Tree:
        """Everything that is not shared, between two halves of the loop's body."""
        return {
            "env": self.config.env.state(self.env),
            "env_seed": self._env_seed,
            "random": self.rng.bit_generator.state,
            "observation": self._unscaled if self._seen.size else self.observation,
            "seen": self._seen,
            "state": _plain(self.state),
            "decision": None if self._decision is None else (self._decision[0], _plain(self._decision[1])),
            "gradient": self.model.get_state(),
            "numbers": {name: getattr(self, name) for name in self.NUMBERS},
        }

    NUMBERS = ("global_frames", "_read_at", "_score", "_game_frames", "_episode_ended", "_not_finite_in_a_row")

    def set_state(self, tree: Tree) -> None:
        """Goes on from there; where the environment could not tell its state, with a new game."""
        self.rng.bit_generator.state = tree["random"]
        if tree["gradient"] is not None:
            self.model.set_state(tree["gradient"])
        for name, value in tree["numbers"].items():
            setattr(self, name, value)
        if tree["env"] is None:
            self._env_seed = int(self.rng.integers(2**31))
            self._start_episode()
            return
        self.config.env.restore(self.env, tree["env"])
        self._env_seed, self._unscaled, self._seen[:] = tree["env_seed"], tree["observation"], tree["seen"]
        self.observation = self.scale(self._unscaled)
        self.state = self._recurrent(tree["state"])
        decision = tree["decision"]
        self._decision = None if decision is None else (decision[0], self._recurrent(decision[1]))

    def _recurrent(self, state: np.ndarray | None) -> Any:
        """A recurrent state as this network has it."""
        return torch.from_numpy(state) if isinstance(self.model.initial_state(), Tensor) else state


def _plain(state: Any) -> np.ndarray | None:
    return None if state is None else np.array(torch.as_tensor(state).numpy())
