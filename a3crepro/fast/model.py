"""A fast network in the place of a module: the same face as `a3crepro.model.ModuleModel`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from torch import nn

from a3crepro.algorithms._algorithm import Algorithm
from a3crepro.environments._environment import Action
from a3crepro.fast.dense import DenseNetwork, dense_spec_of
from a3crepro.fast.network import FastNetwork
from a3crepro.fast.spec import spec_of
from a3crepro.optimizers._optimizer import Optimizer
from a3crepro.optimizers.rmsprop import RMSProp
from a3crepro.plain import Tree

if TYPE_CHECKING:
    from a3crepro.actor_learner import Rollout
    from a3crepro.model import Answer

State = np.ndarray | None
Network = FastNetwork | DenseNetwork


def network_for(module: nn.Module, observation_space: gym.spaces.Box, slots: int, lanes: int) -> Network | None:
    """The fast network in the place of a module, or None where there is none."""
    if (spec := spec_of(module, observation_space)) is not None:
        return FastNetwork(spec, slots, lanes)
    if (dense := dense_spec_of(module, observation_space)) is not None:
        return DenseNetwork(dense, slots, lanes)
    return None


def is_known(module: nn.Module, observation_space: gym.spaces.Box) -> bool:
    """Whether there is a fast network in the place of a module."""
    return any(spec(module, observation_space) is not None for spec in (spec_of, dense_spec_of))


def _same(a: State, b: State) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


class Place:
    """Where the fast models of one process are evaluated: at a copy of θ, in slots that keep what was computed there.

    Args:
      network: for observations in slots and lanes.
      theta: the parameters, float32 [n].
      version: a number that changes whenever θ does: then the copy is renewed before it is used. None for θ', which is
        renewed by `synchronise` alone.
    """

    def __init__(self, network: Network, theta: np.ndarray, version: Callable[[], int] | None) -> None:
        self.theta, self.version, self.slots = theta, version, len(network.outputs)
        self.network = network
        self._held: list[tuple[np.ndarray, State]] = []  # observations, and states before them, that the slots hold
        self._copied, self._synchronised = -1, False
        if version is None:
            self.synchronise()

    def synchronise(self) -> None:
        """θ' ← θ, unless the update has just written it; a new rollout begins."""
        if self.version is None:
            if not self._synchronised:
                self.network.synchronise(self.theta)
            self._synchronised, self._held = False, []

    def renew(self) -> None:
        """Renews the copy of a shared θ that somebody has written since."""
        if self.version is not None:
            version = self.version()
            if version != self._copied:
                self.network.synchronise(self.theta)
                self._copied, self._held = version, []

    def forward(self, observation: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """The outputs of all heads for one observation, and the recurrent state after it."""
        self.renew()
        if len(self._held) == self.slots:
            self._held = []
        network, slot = self.network, len(self._held)
        if state is not None:
            network.set_state(slot, 0, state)
        outputs: np.ndarray = network.forward(slot, [observation])[0]
        self._held.append((observation, state))
        if state is not None:
            state = network.state_after(slot, 0)
        return outputs, state

    def slot_of(self, observations: Sequence[np.ndarray], state: State) -> int:
        """The first of the slots, one after another, that hold the activations of a rollout.

        They are computed again where a shared θ has changed since, or others' observations came in between.
        """
        if self.version is None:
            return 0  # a rollout begins there
        self.renew()
        for first in range(len(self._held) - len(observations) + 1):
            if self._hold(first, observations, state):
                return first
        self._held = []
        for observation in observations:
            _, state = self.forward(observation, state)
        return 0

    def _hold(self, first: int, observations: Sequence[np.ndarray], state: State) -> bool:
        """Whether the slots from this one on hold these observations, each in the state after the one before."""
        for slot, observation in enumerate(observations, first):
            if state is not None and slot > first:
                state = self.network.state_after(slot - 1, 0)
            held, before = self._held[slot]
            if not (_same(held, observation) and _same(before, state)):
                return False
        return True

    def apply_rmsprop(self, gradient: Any, g: np.ndarray, scale: float, rate: float, how: RMSProp) -> None:
        """RMSProp on θ and g, and θ' ← θ."""
        version = self.version() if self.version else 0
        self.network.apply_rmsprop(gradient, self.theta, g, scale, rate, how)
        self._synchronised, self._held = True, []
        self._copied = version + 1  # what it will be if nobody else writes θ

    def get_state(self) -> Tree:
        """What the slots hold; nothing, where it would not be used again."""
        current = self.version is not None and self.version() == self._copied
        return self._held if current else []

    def set_state(self, state: Tree) -> None:
        """Computes again, in the same order, what the slots held: the sums then have the same rounding errors."""
        self._copied, self._synchronised, self._held = -1, False, []
        for observation, before in state:
            self.forward(observation, before)


class FastModel:
    """A network at the flat vector θ of its place, and a gradient of its own.

    Args:
      place: where it is evaluated, together with others of the same process.
      steps: gradients of so many states are summed at most.
    """

    def __init__(self, place: Place, steps: int) -> None:
        self.place, self.steps = place, steps
        self.spec = place.network.spec
        self.gradient: Any = place.network.new_gradient(steps)  # of the network's own kind
        self._columns = {}
        column = 0
        for name, width in self.spec.heads:
            self._columns[name] = slice(column, column + width)
            column += width

    def sibling(self) -> FastModel:
        """One at the same parameters, with a gradient of its own."""
        return FastModel(self.place, self.steps)

    def initial_state(self) -> State:
        """Zero activations h and cells c, [2, cells]."""
        return np.zeros((2, self.spec.lstm), np.float32) if self.spec.lstm else None

    def synchronise(self) -> None:
        """θ' ← θ."""
        self.place.synchronise()

    def _heads(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs [..., width] of all heads, by their names."""
        return {name: outputs[..., columns] for name, columns in self._columns.items()}

    def outputs(self, observation: np.ndarray, state: State) -> tuple[dict[str, np.ndarray], State]:
        """The vector of each head for one observation, and the recurrent state after it."""
        outputs, state = self.place.forward(observation, state)
        return self._heads(outputs), state

    def accumulate(
        self,
        observations: Sequence[np.ndarray],
        actions: Sequence[Action],
        returns: np.ndarray,
        state: State,
        algo: Algorithm,
    ) -> dict[str, np.ndarray]:
        """Adds the gradient of a rollout's loss; returns the outputs [T, width] of its states.

        θ' has not changed since they were acted in, so nothing is computed twice; where a shared θ has, the state is.
        """
        first = self.place.slot_of(observations, state)
        network, slots = self.place.network, slice(first, first + len(actions))
        outputs = self._heads(network.outputs[slots, 0])
        with np.errstate(all="ignore"):  # what is not finite is seen in the norm, and refused
            d_outputs = self._output_gradient(algo, outputs, actions, returns)
            network.backward(d_outputs[:, None], self.gradient, first)
        return outputs

    def _output_gradient(
        self, algo: Algorithm, outputs: dict[str, np.ndarray], actions: Sequence[Action], returns: np.ndarray
    ) -> np.ndarray:
        """∂loss/∂outputs, [T, width of all heads]."""
        gradients = algo.output_gradient(outputs, np.asarray(actions), returns)
        return np.concatenate([gradients[name] for name in self._columns], axis=1)

    def gradient_norm(self) -> float:
        """L2 norm of the gradient."""
        return float(self.gradient.norm())

    def full_gradient(self) -> np.ndarray:
        """The gradient as a new flat vector."""
        full: np.ndarray = self.gradient.full()
        return full

    def update(self, optimizer: Optimizer, statistics: np.ndarray, rate: float, scale: float) -> None:
        """One step of the optimizer on θ with the gradient times `scale`."""
        if isinstance(optimizer, RMSProp) and type(optimizer).update is RMSProp.update:
            self.place.apply_rmsprop(self.gradient, statistics, scale, rate, optimizer)
        else:
            optimizer.update(self.place.theta, scale * self.full_gradient(), statistics, rate)

    def clear_gradient(self) -> None:
        """dθ ← 0."""
        self.gradient.clear()

    def get_state(self) -> Tree:
        """The gradient."""
        return self.gradient.get_state()

    def set_state(self, state: Tree) -> None:
        """Takes over what `get_state` told."""
        self.gradient.set_state(state)

    def get_shared_state(self) -> Tree:
        """What it shares with its siblings, beside θ."""
        return self.place.get_state()

    def set_shared_state(self, state: Tree) -> None:
        """Takes over what `get_shared_state` told, where θ is as it was."""
        self.place.set_state(state)


class FastBatch(FastModel):
    """The same for many actor-learners that act together, a lane each: weights are read once for all of them."""

    def __init__(self, place: Place, steps: int) -> None:
        super().__init__(place, steps)
        self._slot = 0

    def synchronise(self) -> None:
        """θ' ← θ; new rollouts begin."""
        self.place.synchronise()
        self.place.renew()
        self._slot = 0

    def outputs_of(self, asked: Mapping[int, tuple[np.ndarray, State]]) -> dict[int, Answer]:
        """Outputs for an observation of each lane that asks, and its recurrent state after it."""
        network, slot = self.place.network, self._slot
        self._slot += 1
        observations: list[np.ndarray | None] = [None] * network.lanes
        for lane in range(network.lanes):
            observations[lane], state = asked.get(lane, (None, None))
            if self.spec.lstm:
                network.set_state(slot, lane, network.state_after(slot - 1, lane) if state is None else state)
        outputs = network.forward(slot, observations)
        return {
            lane: (
                self._heads(outputs[lane]),
                None if state is None else network.state_after(slot, lane),
            )
            for lane, (_, state) in asked.items()
        }

    def accumulate_all(self, rollouts: Sequence[Rollout], returns: Sequence[np.ndarray], algo: Algorithm) -> None:
        """Adds the gradients of the losses of all lanes' rollouts, whose first states were asked for at once."""
        network = self.place.network
        steps = [len(rollout.actions) for rollout in rollouts]
        d_outputs = np.zeros((max(steps), *network.outputs.shape[1:]), np.float32)
        with np.errstate(all="ignore"):
            for lane, (rollout, theirs, T) in enumerate(zip(rollouts, returns, steps, strict=True)):
                outputs = self._heads(network.outputs[:T, lane])
                d_outputs[:T, lane] = self._output_gradient(algo, outputs, rollout.actions, theirs)
            network.backward(d_outputs, self.gradient)
