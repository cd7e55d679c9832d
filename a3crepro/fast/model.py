"""A fast network in the place of a module: the same face as `a3crepro.model.ModuleModel`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from a3crepro.algorithms._algorithm import Algorithm
from a3crepro.fast.network import FastNetwork
from a3crepro.fast.spec import Spec
from a3crepro.model import Sizes
from a3crepro.optimizers._optimizer import Optimizer
from a3crepro.optimizers.rmsprop import RMSProp

State = np.ndarray | None


class FastModel:
    """A network at the flat vector `theta`, through a copy in the kernels' own layout.

    Args:
      spec: what the network looks like.
      theta: the parameters, float32 [n].
      version: a number that changes whenever θ does: then the copy is renewed before it is used. None for a thread's
        own θ', which is renewed by `synchronise` alone.
      sizes: its `slots` are observations of one θ' in a row, of which all but the first are computed from what moved;
        with a thread's own θ' those of a rollout, and one to bootstrap from.
    """

    def __init__(self, spec: Spec, theta: np.ndarray, version: Callable[[], int] | None, sizes: Sizes) -> None:
        self.spec, self.theta, self.version, self.slots = spec, theta, version, sizes.slots
        self.network = FastNetwork(spec, sizes.slots, sizes.steps)
        self._columns = {}
        column = 0
        for name, width in spec.heads:
            self._columns[name] = slice(column, column + width)
            column += width
        self._held: list[np.ndarray] = []  # the observations whose activations the slots hold
        self._copied, self._synchronised = -1, False
        if version is None:
            self.synchronise()

    def initial_state(self) -> State:
        """Zero activations h and cells c, [2, cells]."""
        return np.zeros((2, self.spec.lstm), np.float32) if self.spec.lstm else None

    def synchronise(self) -> None:
        """θ' ← θ, unless the update has just written it; a new rollout begins."""
        if self.version is None:
            if not self._synchronised:
                self.network.synchronise(self.theta)
            self._synchronised, self._held = False, []

    def _renew(self) -> None:
        """Renews the copy of a shared θ that somebody has written since."""
        if self.version is not None:
            version = self.version()
            if version != self._copied:
                self.network.synchronise(self.theta)
                self._copied, self._held = version, []

    def outputs(self, observation: np.ndarray, state: State) -> tuple[dict[str, np.ndarray], State]:
        """The vector of each head for one observation, and the recurrent state after it."""
        self._renew()
        if len(self._held) == self.slots:
            self._held = []
        network, slot = self.network, len(self._held)
        if state is not None:
            network.h[slot], network.c[slot] = state
        outputs = network.forward(slot, observation)
        if state is not None:
            state = np.stack((network.h[slot + 1], network.c[slot + 1]))
        self._held.append(observation)
        return {name: outputs[columns] for name, columns in self._columns.items()}, state

    def accumulate(
        self,
        observations: Sequence[np.ndarray],
        actions: Sequence[int],
        returns: np.ndarray,
        state: State,
        algo: Algorithm,
    ) -> dict[str, np.ndarray]:
        """Adds the gradient of a rollout's loss; returns the outputs [T, width] of its states.

        θ' has not changed since they were acted in, so nothing is computed twice; where a shared θ has, the state is.
        """
        first = 0 if self.version is None else self._slot_of(observations[0], state)
        slots = slice(first, first + len(actions))
        outputs = {name: self.network.outputs[slots, columns] for name, columns in self._columns.items()}
        with np.errstate(all="ignore"):  # what is not finite is seen in the norm, and refused
            gradients = algo.output_gradient(outputs, np.asarray(actions), returns)
            self.network.backward(np.concatenate([gradients[name] for name in self._columns], axis=1), first)
        return outputs

    def _slot_of(self, observation: np.ndarray, state: State) -> int:
        """The slot that holds an observation's activations at the shared θ as it is now."""
        self._renew()
        for slot, held in enumerate(self._held):
            if held is observation:
                return slot
        self._held = []
        self.outputs(observation, state)
        return 0

    def gradient_norm(self) -> float:
        """L2 norm of the gradient."""
        return self.network.gradient_norm()

    def full_gradient(self) -> np.ndarray:
        """The gradient as a flat vector."""
        return self.network.full_gradient()

    def update(self, optimizer: Optimizer, statistics: np.ndarray, rate: float, scale: float) -> None:
        """One step of the optimizer on θ with the gradient times `scale`."""
        if isinstance(optimizer, RMSProp) and type(optimizer).update is RMSProp.update:
            version = self.version() if self.version else 0
            self.network.apply_rmsprop(self.theta, statistics, scale, rate, optimizer.alpha, optimizer.epsilon)
            self._synchronised, self._held = True, []
            self._copied = version + 1  # what it will be if nobody else writes θ
        else:
            optimizer.update(self.theta, scale * self.full_gradient(), statistics, rate)

    def clear_gradient(self) -> None:
        """dθ ← 0."""
        self.network.clear_gradient()
