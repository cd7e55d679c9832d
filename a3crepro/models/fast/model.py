"""`Model` without autograd, at a local copy of the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import gymnasium as gym
import numpy as np
from torch import nn

from a3crepro.common.rollout import Rollout
from a3crepro.common.serialization import PyTree
from a3crepro.models.fast.convolutional import ConvolutionalNetwork
from a3crepro.models.fast.dense import DenseNetwork
from a3crepro.models.fast.network import FastNetwork, Gradient
from a3crepro.models.fast.spec import Spec, spec_of
from a3crepro.models.model import Gradients, OutputsAndState, Theta
from a3crepro.optimizers._optimizer import Optimizer, OptimizerState, Step

MAX_IMAGES = 128
"""Maximum length of a rollout with convolutions, whose inputs are stored as patches: five times an image's memory."""
RecurrentState = np.ndarray | None
"""A recurrent state, float32 [2, cells]; None without LSTM cells."""


def network_for(
    module: nn.Module, observation_space: gym.spaces.Box, theta: Theta, entries: int, lanes: int
) -> FastNetwork | None:
    """The fast implementation of a module; None if there is none."""
    spec = spec_of(module, observation_space)
    if spec is None or why_not_fast(spec, entries - 1):
        return None
    kind = ConvolutionalNetwork if spec.has_convolutions else DenseNetwork
    return kind(spec, entries, lanes, theta.shared.numpy() if theta.writes is None else None)


def why_not_fast(spec: Spec | None, steps: int) -> str | None:
    """Why a network has no fast implementation for rollouts of up to `steps` steps; None if it has one."""
    if spec is None:
        return "the fast path does not support it"
    if spec.has_convolutions and steps > MAX_IMAGES:
        return f"the fast path takes images in rollouts of up to {MAX_IMAGES} steps"
    return None


def _same(a: RecurrentState, b: RecurrentState) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


class LocalParameters:
    """A local copy of the parameters, with a cache of the activations computed at it.

    Args:
      network: computes one observation per cache entry (and lane).
      theta: the shared parameters. If they have a version, the copy is refreshed before use when that has changed;
        else it is θ', which only `synchronise` refreshes.
    """

    def __init__(self, network: FastNetwork, theta: Theta) -> None:
        self.theta, self.version, self.entries = theta.shared.numpy(), theta.version, len(network.outputs)
        self.network, self.writes = network, theta.writes
        rows = network.spec.row_bounds[-1]
        self.own_writes = theta.writes.counts[theta.writes.thread] if theta.writes else np.zeros(rows, np.int32)
        self._copied_writes: np.ndarray | None = None  # of all actor-learners, when each row was copied
        self._writes_at_update: np.ndarray | None = None  # the same when the last own update began, with its own
        self._cached: list[
            tuple[np.ndarray, RecurrentState]
        ] = []  # the observation and the state before it, for each entry
        self._copied, self._synchronised = -1, False
        if self.version is None:
            self.synchronise()

    def synchronise(self) -> None:
        """θ' ← θ, unless the last update has just done so; empties the cache.

        After an own update only rows are missing that others had written when it began: rows that are being written
        now would have to be fetched from the other core again and again. They follow the next time.
        """
        if self.version is None:
            if self.writes or not self._synchronised:
                self._copy(self._writes_at_update if self._synchronised else None)
            self._synchronised, self._cached = False, []

    def _copy(self, writes: np.ndarray | None = None) -> None:
        """θ' ← θ, without the rows that nobody has written since they were copied; by default until now."""
        if self.writes is None:
            self.network.synchronise(self.theta)
            return
        writes = self.writes.counts.sum(0) if writes is None else writes
        changed = None if self._copied_writes is None else writes != self._copied_writes
        if changed is None or changed.any():
            self.network.synchronise(self.theta, changed)
        self._copied_writes = writes

    def refresh(self) -> None:
        """Refreshes the copy of the shared θ and empties the cache if θ has changed."""
        if self.version is not None:
            version = self.version()
            if version != self._copied:
                self._copy()
                self._copied, self._cached = version, []

    def forward(self, observation: np.ndarray, state: RecurrentState) -> int:
        """Computes the outputs for one observation and returns their cache entry."""
        if self.version is not None:
            self.refresh()
        entry = len(self._cached)
        if entry == self.entries:
            self._cached, entry = [], 0
        if state is not None:
            self.network.set_state(entry, 0, state)
        self.network.forward(entry, [observation])
        self._cached.append((observation, state))
        return entry

    def entry_of(self, observations: Sequence[np.ndarray], state: RecurrentState) -> int:
        """The first of the consecutive cache entries that hold the activations of a rollout.

        Computes them again if θ has changed since, or if other actor-learners have overwritten them.
        """
        if self.version is None:
            assert _same(self._cached[0][0], observations[0])  # a rollout begins at the first entry
            return 0
        self.refresh()
        for first in reversed(range(len(self._cached) - len(observations) + 1)):
            if self._cache_holds(first, observations, state):
                return first
        self._cached = []
        for observation in observations:
            entry = self.forward(observation, state)
            state = None if state is None else self.network.state_after(entry, 0)
        return 0

    def _cache_holds(self, first: int, observations: Sequence[np.ndarray], state: RecurrentState) -> bool:
        """Whether the entries from `first` on hold these observations, each with the state after the previous one."""
        for entry, observation in enumerate(observations, first):
            if state is not None and entry > first:
                state = self.network.state_after(entry - 1, 0)
            cached, before = self._cached[entry]
            if not (_same(cached, observation) and _same(before, state)):
                return False
        return True

    def update(self, gradient: Gradient, optimizer: Optimizer, state: OptimizerState, step: Step) -> None:
        """Updates θ; a fused optimizer also sets θ' ← θ where θ has changed."""
        version = self.version() if self.version else 0
        before = (self.own_writes.copy(), self.writes.counts.sum(0)) if self.writes else None
        if optimizer.is_fused:
            self.network.update(gradient, self.theta, optimizer, state, step, self.own_writes)
        else:
            full = np.float32(step.clip) * gradient.full()
            optimizer.update(self.theta, full, state.statistics, step.learning_rate, step.number)
            self.own_writes += 1
            self.network.synchronise(self.theta)
        if before is not None and self._copied_writes is not None:
            own, writes = before
            written = self.own_writes != own
            self._writes_at_update = writes + written
            self._copied_writes[written] = writes[written] + 1  # another's write meanwhile makes it more
        self._synchronised, self._cached = True, []
        self._copied = version + 1 if version == self._copied else -1

    def get_state(self) -> PyTree:
        """The observations and states in the cache, if later calls can use them."""
        is_current = self.version is not None and self.version() == self._copied
        return self._cached if is_current else []

    def set_state(self, state: PyTree) -> None:
        """Fills the cache in the same order as before, so that rounding errors are equal."""
        self._copied, self._synchronised, self._cached = -1, False, []
        for observation, before in state:
            self.forward(observation, before)


class FastModel:
    """A network at local parameters, with a gradient of its own.

    Args:
      local: the parameters; replicas share them.
      steps: maximum number of states whose gradients are summed.
    """

    uses_autograd: ClassVar[bool] = False

    def __init__(self, local: LocalParameters, steps: int) -> None:
        self.local, self.steps, self._first = local, steps, 0
        self.spec = local.network.spec
        self.gradient = local.network.new_gradient(steps)
        self._columns = self.spec.columns

    def replica(self) -> FastModel:
        return FastModel(self.local, self.steps)

    def initial_state(self) -> RecurrentState:
        """Zeros for h and c, float32 [2, cells]."""
        return np.zeros((2, self.spec.lstm), np.float32) if self.spec.lstm else None

    def synchronise(self) -> None:
        self.local.synchronise()

    def _heads(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of the outputs [..., width] that belong to each head."""
        return {name: outputs[..., columns] for name, columns in self._columns.items()}

    def forward(self, observation: np.ndarray, state: RecurrentState) -> tuple[dict[str, np.ndarray], RecurrentState]:
        network, entry = self.local.network, self.local.forward(observation, state)
        return network.heads[entry], None if state is None else network.state_after(entry, 0)

    def rollout_outputs(self, rollout: Rollout) -> dict[str, np.ndarray]:
        """The outputs of the rollout's states, from the cache if θ' (or θ) has not changed since."""
        self._first = self.local.entry_of(rollout.observations, rollout.state)
        entries = slice(self._first, self._first + len(rollout.observations))
        return self._heads(self.local.network.outputs[entries, 0])

    def backward(self, gradients: Gradients) -> None:
        self.local.network.backward(self._all_heads(gradients)[:, None], self.gradient, self._first)

    def _all_heads(self, gradients: Gradients) -> np.ndarray:
        """∂loss/∂outputs of all heads, [T, width]."""
        parts = [gradients[name] for name in self._columns]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def gradient_norm(self) -> float:
        return self.gradient.norm()

    def full_gradient(self) -> np.ndarray:
        return self.gradient.full()

    def update(self, optimizer: Optimizer, state: OptimizerState, step: Step) -> None:
        self.local.update(self.gradient, optimizer, state, step)

    def clear_gradient(self) -> None:
        self.gradient.clear()

    def get_state(self) -> PyTree:
        return self.gradient.get_state()

    def set_state(self, state: PyTree) -> None:
        self.gradient.set_state(state)

    def get_cache(self) -> PyTree:
        return self.local.get_state()

    def set_cache(self, state: PyTree) -> None:
        self.local.set_state(state)


class FastBatch(FastModel):
    """A `FastModel` for several actor-learners that act together, one per lane: weights are read once for all."""

    def __init__(self, local: LocalParameters, steps: int) -> None:
        super().__init__(local, steps)
        self._entry = 0

    def synchronise(self) -> None:
        self.local.synchronise()
        self.local.refresh()
        self._entry = 0

    def forward_batch(self, requests: Mapping[int, tuple[np.ndarray, RecurrentState]]) -> dict[int, OutputsAndState]:
        network, entry = self.local.network, self._entry
        self._entry += 1
        observations: list[np.ndarray | None] = [None] * network.lanes
        for lane in range(network.lanes):
            observations[lane], state = requests.get(lane, (None, None))
            if self.spec.lstm:
                network.set_state(entry, lane, network.state_after(entry - 1, lane) if state is None else state)
        outputs = network.forward(entry, observations)
        return {
            lane: (self._heads(outputs[lane]), None if state is None else network.state_after(entry, lane))
            for lane, (_, state) in requests.items()
        }

    def batch_rollout_outputs(self, rollouts: Sequence[Rollout]) -> list[dict[str, np.ndarray]]:
        outputs = self.local.network.outputs
        return [self._heads(outputs[: len(rollout.actions), lane]) for lane, rollout in enumerate(rollouts)]

    def backward_batch(self, gradients: Sequence[Gradients]) -> None:
        network = self.local.network
        by_lane = [self._all_heads(each) for each in gradients]
        d_outputs = np.zeros((max(map(len, by_lane)), *network.outputs.shape[1:]), np.float32)
        for lane, each in enumerate(by_lane):
            d_outputs[: len(each), lane] = each
        network.backward(d_outputs, self.gradient)
