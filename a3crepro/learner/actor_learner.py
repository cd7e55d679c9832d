"""The actor-learner: synchronise, roll out, compute the gradient, update. One serves all methods and environments."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from a3crepro.algorithms._algorithm import Outputs
from a3crepro.common.errors import UserError
from a3crepro.common.rollout import Action, Rollout
from a3crepro.common.serialization import PyTree
from a3crepro.config import Config
from a3crepro.environments._environment import Spaces, checked_reward, spaces_of
from a3crepro.learner.normalisation import NormaliseObservation
from a3crepro.learner.reports import Copy, Episode, Report, Snapshot
from a3crepro.learner.shared_state import COPY, FRAMES, NOT_FINITE, SNAPSHOT, UPDATES, Moment, SharedState
from a3crepro.learner.update import Update
from a3crepro.mathematics.metrics import GRADIENT_NORM
from a3crepro.mathematics.returns import n_step_returns
from a3crepro.models.make_model import make_model
from a3crepro.models.model import Gradients, Model, OutputsAndState, Sizes, Theta, Writes
from a3crepro.networks._network import seeded

MAX_NOT_FINITE = 100
"""Consecutive gradients that are not finite before the run ends with an error."""


class Interrupted(Exception):
    """The run stops before a rollout of a whole episode has ended; the actor-learner is as it was at its start."""


class Models(NamedTuple):
    """The networks of an actor-learner."""

    model: Model
    """At θ' or, for a method without a thread copy, at the shared θ."""
    target: Model | None
    """At θ⁻."""

    def replicas(self) -> Models:
        """Models at the same parameters with a gradient of their own, for another actor-learner of this process."""
        return Models(self.model.replica(), self.target)

    def get_state(self) -> PyTree:
        """What replicas share, beside the parameters."""
        return [None if model is None else model.get_cache() for model in self]

    def set_state(self, state: PyTree) -> None:
        """Restores what `get_state` returned, after the parameters were restored."""
        for model, part in zip(self, state, strict=True):
            if model is not None:
                model.set_cache(part)


def make_models(config: Config, shared: SharedState, spaces: Spaces, lanes: int = 0, thread: int = 0) -> Models:
    """The networks of one actor-learner, or, with `lanes`, of as many that act as a batch."""
    network, algo, (observation_space, actions) = config.network, config.algo, spaces
    heads, steps = algo.heads(actions), config.max_update_steps

    def model(theta: Theta, sizes: Sizes, implementation: str = network.implementation) -> Model:
        module = seeded(network, observation_space, heads, config.seed)
        return make_model(module, observation_space, theta, sizes, implementation)

    version = None if algo.uses_thread_copy else shared.updates
    writes_are_counted = config.processes > 1 and not config.execution.makes_one_update
    writes = Writes(shared.writes.numpy(), thread) if writes_are_counted else None
    entries = steps + 1
    if algo.uses_thread_copy and algo.bootstraps_from_next_action:
        entries += 1  # it computes the outputs for its last state twice: to select a', and to bootstrap
    online = model(Theta(shared.parameters, version, writes), Sizes(entries, steps * max(1, lanes), lanes))
    if algo.target_interval is None:
        return Models(online, None)
    same = "module" if online.uses_autograd else "fast"  # they exchange recurrent states
    return Models(online, model(Theta(shared.target, shared.target_version), Sizes(8, 0, lanes), same))


def share_above_epsilon(config: Config, shared: SharedState) -> float | None:
    """Share of the entries of g that exceed ε; None for an optimizer without g."""
    if "g" not in config.optimizer.statistics:
        return None  # without a copy of all statistics
    return config.optimizer.share_above_epsilon(shared.decayed_statistics())


class Selected(NamedTuple):
    """An action, and the recurrent state after the forward pass that selected it."""

    action: Action
    state: Any


class ActorLearner:
    """One of the paper's threads: an environment, a copy θ' of the parameters, and a gradient dθ.

    An execution runs its loop, `apply_gradient(compute_gradient())`; between the two halves, others may run.

    Args:
      config: the run's configuration.
      shared: what all actor-learners share.
      thread: its number, from 0.
      attempt: how often the run was resumed; each time, environments are seeded anew.
      report: receives an `Episode` at the end of each episode, and a `Snapshot` and a `Copy` when its update lets T
        cross a multiple of `evaluation.every` and of `checkpoint.copies_every`.
      models: its networks; by default, its own.
    """

    def __init__(
        self,
        config: Config,
        shared: SharedState,
        thread: int,
        attempt: int,
        report: Callable[[Report], None],
        models: Models | None = None,
    ) -> None:
        self.algo, self.shared = config.algo, shared
        self.config, self.thread, self.seed, self.report = config, thread, config.seed, report
        self.own_env = self.env = config.env.make(training=True)
        self.normalise = NormaliseObservation(self.env) if config.env.normalises else None
        self.env = self.normalise or self.env
        self.rng = np.random.default_rng([config.seed, thread, attempt])
        self._env_seed: int | None = int(self.rng.integers(2**31))
        self.models = models or make_models(config, shared, spaces_of(self.env), thread=thread)
        self.model = self.models.model
        # With autograd, the gradient at the outputs is autograd's, too: that path is the reference.
        by_autograd = self.model.uses_autograd
        self.output_gradient = self.algo.autograd_output_gradient if by_autograd else self.algo.output_gradient
        self.moment, self.global_frames = shared.moment(), 0
        self.counters = shared.counters[thread].numpy()
        self.metric_sums = shared.metric_sums[thread].numpy()
        self.update = Update(config, shared, shared.optimizer_state(thread))
        self.staleness = shared.staleness[thread].numpy()
        self.sums = shared.sums[thread].numpy()
        self._read_at: list[int] = []
        self.state: Any = None
        self._episode_ended = True
        self._not_finite_in_a_row = 0
        self.next_action: Selected | None = None
        self.can_be_interrupted = self.algo.rollout_steps is None and not config.execution.makes_one_update
        self._start_episode()

    # ---- The body of the loop ----------------------------------------------------------------------------------------

    def compute_gradient(self) -> Rollout:
        """Acts and adds to dθ; writes nothing that is shared.

        Raises:
          Interrupted: the run stops, and the rollout is a whole episode that has not ended.
        """
        if not self.can_be_interrupted:
            return self.compute_gradient_at(self.shared.moment())
        before = copy.deepcopy(self.get_state())
        try:
            return self.compute_gradient_at(self.shared.moment())
        except Interrupted:
            self.set_state(before)
            raise

    def compute_gradient_at(self, moment: Moment) -> Rollout:
        """Synchronises, rolls out and adds to dθ, from this T, number of updates and normaliser on."""
        self.synchronise(moment)  # θ' ← θ
        rollout = self.roll_out(self.algo.rollout_steps)
        returns = n_step_returns(rollout.rewards, rollout.discounts, self.bootstrap(rollout))
        self.accumulate(rollout, returns)  # dθ ← dθ + ∂loss/∂θ'
        return rollout

    def apply_gradient(self, rollout: Rollout) -> None:
        """Counts the frames of a rollout, and updates θ and θ⁻ if they are due, in the order of the pseudocode."""
        self.count(rollout.frames)  # T ← T + frames
        if self.algo.updates_target_first:
            self.update.update_target()  # θ⁻ ← θ
        if self.algo.update_is_due(self.own_steps, rollout):
            self.update_parameters()  # update θ with dθ; dθ ← 0
        if not self.algo.updates_target_first:
            self.update.update_target()

    def iterate(self) -> None:
        """Runs the body of the loop once."""
        self.apply_gradient(self.compute_gradient())

    def synchronise(self, moment: Moment) -> None:
        """θ' ← θ, for a method with a thread copy."""
        self.begin_at(moment)
        self.model.synchronise()

    def begin_at(self, moment: Moment) -> None:
        """Takes over T and the normaliser of this moment."""
        self.moment, self.global_frames = moment, moment.frames
        self._read_at.append(moment.updates)

    def roll_out(self, steps: int | None) -> Rollout:
        """Acts for `steps` steps or to the end of the episode; None: always to the end."""
        rollout = self.begin_rollout()
        if self.next_action and self.algo.uses_thread_copy:  # it was selected at the previous θ'
            _, state = self.forward(self.model)
            self.next_action = Selected(self.next_action.action, state)
        while not rollout.is_complete(steps):
            if self.can_be_interrupted and self.shared.stopping:
                raise Interrupted
            self.step(rollout, self.next_action or self.select_action())
        return rollout

    def begin_rollout(self) -> Rollout:
        """An empty rollout; starts a new episode if the last one has ended."""
        if self._episode_ended:
            self._start_episode()
        if self.normalise and self.moment.normaliser is not self.normalise.normaliser:
            self.observation = self.normalise.set_normaliser(self.moment.normaliser)
        return Rollout(self.state, self.config.env.frames_per_step)

    def select_action(self) -> Selected:
        """The action of the behaviour policy in the current state."""
        outputs, state = self.forward(self.model)
        return Selected(self.algo.select_action(outputs, self), state)

    def step(self, rollout: Rollout, selected: Selected) -> None:
        """Steps the environment, and adds the step to the rollout."""
        observation, given, terminated, truncated, info = self.env.step(selected.action)
        reward, clip = checked_reward(given, self.env), self.config.env.reward_clip
        rollout.observations.append(self.observation)
        rollout.actions.append(selected.action)
        rollout.rewards.append(reward if clip is None else min(max(reward, -clip), clip))
        rollout.discounts.append(0.0 if terminated else self.algo.gamma)
        rollout.terminal = terminated
        rollout.episode_ended = self._episode_ended = terminated or truncated
        self.observation, self.state, self.next_action = observation, selected.state, None
        self._add_to_score(reward, info.get("game_over", terminated or truncated))

    def bootstrap(self, rollout: Rollout) -> float:
        """The value of the state that the rollout ends in; 0 if it is terminal."""
        if rollout.terminal or self.algo.rollout_steps is None:
            return 0.0
        if self.algo.bootstraps_from_next_action:
            self.next_action = self.select_action()  # a', which the next step takes
        model = self.models.target if self.algo.bootstraps_from_target else self.model
        assert model is not None
        outputs, _ = self.forward(model)  # the target network shares the recurrent state of θ'
        return self.algo.bootstrap_value(outputs, self.next_action and self.next_action.action, self)

    def forward(self, model: Model) -> OutputsAndState:
        """The outputs of a model for the current state, and the next recurrent state."""
        return model.forward(self.observation, self.state)

    def accumulate(self, rollout: Rollout, returns: np.ndarray) -> Outputs:
        """dθ ← dθ + ∂loss/∂θ'.

        Args:
          rollout: the steps.
          returns: of the states of the rollout, float32 [T].

        Returns:
          The outputs of the network for these states, [T, width] for each head.
        """
        outputs = self.model.rollout_outputs(rollout)
        self.model.backward(self.gradient_at(outputs, rollout, returns))
        return outputs

    def gradient_at(self, outputs: Outputs, rollout: Rollout, returns: np.ndarray) -> Gradients:
        """∂loss/∂outputs of a rollout; adds it to the metrics."""
        actions = np.asarray(rollout.actions)
        self.algo.add_metrics(self.metric_sums, outputs, actions, returns)
        return self.output_gradient(outputs, actions, returns)

    def count(self, frames: int) -> None:
        """T ← T + frames."""
        self.counters[FRAMES] += frames
        if self.normalise:
            self.sums += self.normalise.seen
            self.normalise.seen[:] = 0

    def update_parameters(self) -> None:
        """Updates θ with dθ, then dθ ← 0."""
        self.count_staleness()
        self.count_update(self.update.apply(self.model, self.global_frames))
        self.model.clear_gradient()
        self.snapshot()

    # ---- Counters, scores and reports --------------------------------------------------------------------------------

    @property
    def own_frames(self) -> int:
        """Environment frames of this actor-learner alone."""
        return int(self.counters[FRAMES])

    @property
    def own_steps(self) -> int:
        """t: agent steps of this actor-learner alone."""
        return self.own_frames // self.config.env.frames_per_step

    def _start_episode(self) -> None:
        self.observation, _ = self.env.reset(seed=self._env_seed)
        if self._env_seed is not None:
            self._score, self._game_frames = 0.0, 0
        self._env_seed = None
        self.state = self.model.initial_state()
        self.next_action = None
        self._episode_ended = False

    def _add_to_score(self, reward: float, game_over: bool) -> None:
        self._score += reward
        self._game_frames += self.config.env.frames_per_step
        if game_over:
            self.report(Episode(self.shared.frames(), self.thread, self._score, self._game_frames))
            self._score, self._game_frames = 0.0, 0

    def count_staleness(self) -> None:
        """Counts, for each gradient of the next update, the updates of θ since it was read."""
        now, last = self.shared.updates(), len(self.staleness) - 1
        for then in self._read_at:
            self.staleness[min(now - then, last)] += 1
        self._read_at.clear()

    def count_update(self, norm: float) -> None:
        """Counts an update with a gradient of this norm, or one that was skipped because the norm is not finite.

        Raises:
          UserError: too many gradients in a row were skipped.
        """
        if math.isfinite(norm):
            self.counters[UPDATES] += 1
            self.metric_sums[GRADIENT_NORM] += norm
            self._not_finite_in_a_row = 0
            return
        self.counters[NOT_FINITE] += 1
        self._not_finite_in_a_row += 1
        if self._not_finite_in_a_row >= MAX_NOT_FINITE:
            raise UserError(
                f"{MAX_NOT_FINITE} gradients in a row were not finite and were skipped: the learning rate is too large "
                f"(optimizer.lr={self.config.optimizer.lr:g}), or rewards or observations of {self.config.env.title} "
                "are huge or not finite"
            )

    def snapshot(self) -> None:
        """Reports θ if T has crossed a multiple of `evaluation.every` or of `checkpoint.copies_every`."""
        every, shared = self.config.evaluation.every, self.shared
        if every and self.config.evaluation.episodes:
            frames = shared.crossed_multiple(SNAPSHOT, every)
            if frames is not None and frames < self.config.frames:  # the final evaluation is the main process's
                self.report(Snapshot(frames, shared.policy_snapshot(), share_above_epsilon(self.config, shared)))
        copies = self.config.checkpoint.copies_every
        if copies and (frames := shared.crossed_multiple(COPY, copies)) is not None:
            self.report(Copy(frames, shared.policy_snapshot(), shared.decayed_statistics()))

    # ---- Checkpoints -------------------------------------------------------------------------------------------------

    NUMBERS = ("global_frames", "_read_at", "_score", "_game_frames", "_episode_ended", "_not_finite_in_a_row")

    def get_state(self) -> PyTree:
        """Everything that is not shared, between two halves of the loop's body."""
        selected = self.next_action
        return {
            "env": self.config.env.get_state(self.own_env),
            "env_seed": self._env_seed,
            "random": self.rng.bit_generator.state,
            "observation": self.observation,
            "normalise": self.normalise and self.normalise.get_state(),
            "state": _as_array(self.state),
            "next_action": selected and (selected.action, _as_array(selected.state)),
            "gradient": self.model.get_state(),
            "numbers": {name: getattr(self, name) for name in self.NUMBERS},
        }

    def set_state(self, tree: PyTree) -> None:
        """Restores what `get_state` returned; starts a new episode if the environment could not save its state."""
        self.rng.bit_generator.state = tree["random"]
        if tree["gradient"] is not None:
            self.model.set_state(tree["gradient"])
        for name, value in tree["numbers"].items():
            setattr(self, name, value)
        if tree["env"] is None:
            self._env_seed = int(self.rng.integers(2**31))
            self._start_episode()
            return
        self.config.env.set_state(self.own_env, tree["env"])
        self._env_seed, self.observation = tree["env_seed"], tree["observation"]
        if self.normalise:
            self.normalise.set_state(tree["normalise"])
        self.state = self._recurrent(tree["state"])
        selected = tree["next_action"]
        self.next_action = selected and Selected(selected[0], self._recurrent(selected[1]))

    def _recurrent(self, state: np.ndarray | None) -> Any:
        """A recurrent state in the form that the model takes."""
        return torch.from_numpy(state) if isinstance(self.model.initial_state(), Tensor) else state


def _as_array(state: Any) -> np.ndarray | None:
    return None if state is None else np.array(torch.as_tensor(state).numpy())
