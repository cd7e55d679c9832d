"""A fast network in the place of a module: the same face as `a3crepro.models.model.ModuleModel`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from torch import nn

from a3crepro.common.plain import Tree
from a3crepro.common.rollout import Rollout
from a3crepro.models.fast.dense import DenseNetwork, dense_spec_of
from a3crepro.models.fast.network import FastNetwork
from a3crepro.models.fast.spec import spec_of
from a3crepro.models.model import Answer, Gradients
from a3crepro.optimizers._optimizer import Optimizer

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

    def update(
        self, gradient: Any, optimizer: Optimizer, statistics: np.ndarray, rate: float, scale: float, step: int
    ) -> None:
        """One step of a fused optimizer on θ, and θ' ← θ."""
        version = self.version() if self.version else 0
        self.network.update(gradient, self.theta, optimizer, statistics, rate, scale, step)
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

    uses_autograd: ClassVar[bool] = False

    def __init__(self, place: Place, steps: int) -> None:
        self.place, self.steps, self._first = place, steps, 0
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

    def rollout_outputs(self, rollout: Rollout) -> dict[str, np.ndarray]:
        """The outputs [T, width] of a rollout's states.

        θ' has not changed since they were acted in, so nothing is computed twice; where a shared θ has, the state is.
        """
        self._first = self.place.slot_of(rollout.observations, rollout.state)
        slots = slice(self._first, self._first + len(rollout.observations))
        return self._heads(self.place.network.outputs[slots, 0])

    def backward(self, gradients: Gradients) -> None:
        """Adds the gradient of the rollout of the last `rollout_outputs`."""
        with np.errstate(all="ignore"):  # the norm tells what is not finite
            self.place.network.backward(self._all_heads(gradients)[:, None], self.gradient, self._first)

    def _all_heads(self, gradients: Gradients) -> np.ndarray:
        """∂loss/∂outputs, [T, width of all heads]."""
        return np.concatenate([gradients[name] for name in self._columns], axis=1)

    def gradient_norm(self) -> float:
        """L2 norm of the gradient."""
        return float(self.gradient.norm())

    def full_gradient(self) -> np.ndarray:
        """The gradient as a new flat vector."""
        full: np.ndarray = self.gradient.full()
        return full

    def update(self, optimizer: Optimizer, statistics: np.ndarray, rate: float, scale: float, step: int) -> None:
        """One step of the optimizer on θ with the gradient times `scale`."""
        if optimizer.is_fused:
            self.place.update(self.gradient, optimizer, statistics, rate, scale, step)
        else:
            optimizer.update(self.place.theta, scale * self.full_gradient(), statistics, rate, step)

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

    def rollouts_outputs(self, rollouts: Sequence[Rollout]) -> list[dict[str, np.ndarray]]:
        """The outputs of all lanes' rollouts, whose first states were asked for at once."""
        outputs = self.place.network.outputs
        return [self._heads(outputs[: len(rollout.actions), lane]) for lane, rollout in enumerate(rollouts)]

    def backward_all(self, gradients: Sequence[Gradients]) -> None:
        """Adds the gradients of the losses of all lanes' rollouts."""
        network = self.place.network
        by_lane = [self._all_heads(each) for each in gradients]
        d_outputs = np.zeros((max(map(len, by_lane)), *network.outputs.shape[1:]), np.float32)
        for lane, each in enumerate(by_lane):
            d_outputs[: len(each), lane] = each
        with np.errstate(all="ignore"):
            network.backward(d_outputs, self.gradient)
