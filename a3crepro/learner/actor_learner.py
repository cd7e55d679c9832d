"""The actor-learner: synchronise, roll out, gradient, update. One serves all methods, networks and environments."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from a3crepro.algorithms._algorithm import Outputs
from a3crepro.common.plain import Tree
from a3crepro.common.rollout import Action, Rollout
from a3crepro.common.settings import UserError
from a3crepro.config import Config
from a3crepro.environments._environment import Spaces, checked_reward, spaces_of
from a3crepro.learner.reports import Copy, Episode, Report, Snapshot
from a3crepro.learner.scaling import NormaliseObservation
from a3crepro.learner.shared_state import COPY, FRAMES, NOT_FINITE, SNAPSHOT, UPDATES, Moment, SharedState
from a3crepro.learner.update import Update
from a3crepro.mathematics.returns import n_step_returns
from a3crepro.models.make_model import make_model
from a3crepro.models.model import Answer, Model, Sizes
from a3crepro.networks._network import seeded

PERSISTENT = 100
"""So many gradients in a row that are not finite end the run."""


class Interrupted(Exception):
    """The run is to stop, and a rollout that is a whole episode was not over: its actor-learner is where it began."""


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
    """Share of the optimizer's statistics g that exceed its ε; None for an optimizer without them."""
    return config.optimizer.share_above_epsilon(shared.statistics.numpy())


class Selected(NamedTuple):
    """What the policy selects in a state."""

    action: Action
    state: Any
    """The recurrent state after it."""


class ActorLearner:
    """One of the paper's threads: an environment, a copy θ' of the parameters, and a gradient.

    Its loop, which an execution runs, is `apply(compute())`. Between the two halves of the loop's body, other
    actor-learners may run.

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
        report: Callable[[Report], None],
        models: Models | None = None,
    ) -> None:
        self.algo, self.shared = config.algo, shared
        self.config, self.thread, self.seed, self.report = config, thread, config.seed, report
        self.own_env = self.env = config.env.make(training=True)
        self.normalise = NormaliseObservation(self.env) if config.env.normalises else None
        self.env = self.normalise or self.env
        self.rng = np.random.default_rng([config.seed, thread, start])
        self._env_seed: int | None = int(self.rng.integers(2**31))
        self.models = models or make_models(config, shared, spaces_of(self.env))
        self.model = self.models.model
        # Autograd of the whole loss is the reference; without it, what an algorithm has in closed form is faster.
        self.output_gradient = (
            self.algo.autograd_output_gradient if self.model.uses_autograd else self.algo.output_gradient
        )
        self.moment, self.global_frames = shared.moment(), 0
        self.counters = shared.counters[thread].numpy()
        self.monitors = shared.monitors.numpy()
        self.statistics = shared.statistics[thread if len(shared.statistics) > 1 else 0].numpy()
        self.update = Update(config, shared, self.statistics)
        self.staleness = shared.staleness[thread].numpy()
        self.sums = shared.sums[thread].numpy()
        self._read_at: list[int] = []
        self.state: Any = None
        self._episode_ended = True
        self._not_finite_in_a_row = 0
        self.next_action: Selected | None = None
        self.can_be_interrupted = self.algo.rollout_steps is None and not config.execution.makes_one_update
        self._start_episode()

    # ---- The loop's body ---------------------------------------------------------------------------------------------

    def compute(self) -> Rollout:
        """The first half: acts, and adds to dθ. Writes nothing that is shared.

        Raises:
          Interrupted: the run is to stop, and a whole episode would take long.
        """
        if not self.can_be_interrupted:
            return self.compute_at(self.shared.moment())
        before = copy.deepcopy(self.get_state())
        try:
            return self.compute_at(self.shared.moment())
        except Interrupted:
            self.set_state(before)
            raise

    def compute_at(self, moment: Moment) -> Rollout:
        """The same, with T and the scale of observations as they were at this moment."""
        self.synchronise(moment)  # θ' ← θ
        rollout = self.roll_out(self.algo.rollout_steps)
        returns = n_step_returns(rollout.rewards, rollout.discounts, self.bootstrap(rollout))
        outputs = self.accumulate(rollout, returns)  # dθ ← dθ + ∂loss/∂θ'
        self.monitors[self.thread] = self.algo.metric(outputs, self)
        return rollout

    def apply(self, rollout: Rollout) -> None:
        """The second half: counts frames, and updates θ and θ⁻ if the method does so after this rollout."""
        self.count(rollout.frames)
        due = self.algo.update_is_due(self.own_steps, rollout)
        self.update.in_order(self.update_parameters if due else lambda: None, self.update.update_target)

    def iterate(self) -> None:
        """Once through the body of the method's loop."""
        self.apply(self.compute())

    def synchronise(self, moment: Moment) -> None:
        """θ' ← θ for a method with a thread copy; takes note of what else was read."""
        self.begin_at(moment)
        self.model.synchronise()

    def begin_at(self, moment: Moment) -> None:
        """Takes note of T, of the number of updates, and of the scale of observations."""
        self.moment, self.global_frames = moment, moment.frames
        self._read_at.append(moment.updates)

    def roll_out(self, steps: int | None) -> Rollout:
        """Acts for this many steps, or to the end of the episode; None: always to the end."""
        rollout = self.begin_rollout()
        while not rollout.is_complete(steps):
            if self.can_be_interrupted and self.shared.stopping:
                raise Interrupted
            self.step(rollout, self.next_action or self.select_action())
        return rollout

    def begin_rollout(self) -> Rollout:
        """A rollout without a step yet, in a new episode if the last one ended."""
        if self._episode_ended:
            self._start_episode()
        if self.normalise and self.moment.scale is not self.normalise.scale:
            self.observation = self.normalise.renew(self.moment.scale)
        return Rollout(self.state, self.config.env.frames_per_step)

    def select_action(self) -> Selected:
        """What the policy selects in the current state."""
        outputs, state = self.forward(self.model)
        return Selected(self.algo.select_action(outputs, self), state)

    def step(self, rollout: Rollout, selected: Selected) -> None:
        """Takes an action, and adds the step to the rollout."""
        observation, given, terminated, truncated, info = self.env.step(selected.action)
        reward, clip = checked_reward(given, self.env), self.config.env.reward_clip
        rollout.observations.append(self.observation)
        rollout.actions.append(selected.action)
        rollout.rewards.append(reward if clip is None else min(max(reward, -clip), clip))
        rollout.discounts.append(0.0 if terminated else self.algo.gamma)
        rollout.terminal = terminated
        rollout.episode_ended = self._episode_ended = terminated or truncated
        self.observation, self.state, self.next_action = observation, selected.state, None
        self._keep_score(reward, info.get("game_over", terminated or truncated))

    def bootstrap(self, rollout: Rollout) -> float:
        """The value of the state that the rollout ends in."""
        if rollout.terminal or self.algo.rollout_steps is None:
            return 0.0
        if self.algo.bootstraps_from_next_action:
            self.next_action = self.select_action()  # a', which the next step takes
        model = self.models.target if self.algo.bootstraps_from_target else self.model
        assert model is not None
        outputs, _ = self.forward(model)  # of the target network, with LSTM cells, in the state of θ'
        return self.algo.bootstrap_value(outputs, self.next_action and self.next_action.action, self)

    def forward(self, model: Model) -> Answer:
        """A model's outputs for the current state, and the recurrent state after it."""
        return model.outputs(self.observation, self.state)

    def accumulate(self, rollout: Rollout, returns: np.ndarray) -> Outputs:
        """dθ ← dθ + ∂loss/∂θ', for these returns of the rollout's states; returns the network's outputs there."""
        outputs = self.model.rollout_outputs(rollout)
        self.model.backward(self.output_gradient(outputs, np.asarray(rollout.actions), returns))
        return outputs

    def count(self, frames: int) -> None:
        """T ← T + frames."""
        self.counters[FRAMES] += frames
        if self.normalise:
            self.sums += self.normalise.seen
            self.normalise.seen[:] = 0

    def update_parameters(self) -> None:
        """Asynchronous update of θ with dθ; then dθ ← 0."""
        self.count_staleness()
        self.count_update(self.update.apply(self.model, self.global_frames))
        self.model.clear_gradient()
        self.snapshot()

    # ---- Around it ---------------------------------------------------------------------------------------------------

    @property
    def own_frames(self) -> int:
        """Frames of this actor-learner alone."""
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
        """Counts an update, or a gradient that was not finite and therefore not applied.

        Raises:
          UserError: too many in a row were not finite.
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
        selected = self.next_action
        return {
            "env": self.config.env.get_state(self.own_env),
            "env_seed": self._env_seed,
            "random": self.rng.bit_generator.state,
            "observation": self.observation,
            "normalise": self.normalise and self.normalise.get_state(),
            "state": _plain(self.state),
            "next_action": selected and (selected.action, _plain(selected.state)),
            "gradient": self.model.get_state(),
            "numbers": {name: getattr(self, name) for name in self.NUMBERS},
        }

    NUMBERS = ("global_frames", "_read_at", "_score", "_game_frames", "_episode_ended", "_not_finite_in_a_row")

    def set_state(self, tree: Tree) -> None:
        """Goes on from there; if the environment could not save its state, with a new episode."""
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
        """A recurrent state as this network has it."""
        return torch.from_numpy(state) if isinstance(self.model.initial_state(), Tensor) else state


def _plain(state: Any) -> np.ndarray | None:
    return None if state is None else np.array(torch.as_tensor(state).numpy())
