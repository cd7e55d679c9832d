"""What the networks of the fast path share: a copy of the parameters, gradients, LSTM cells and heads."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate, count, pairwise

import numpy as np

from a3crepro.common.serialization import PyTree
from a3crepro.mathematics.norm import l2_norm
from a3crepro.models.fast import kernels as k
from a3crepro.models.fast.spec import PartSpec, Spec
from a3crepro.optimizers._optimizer import Optimizer


def zeros(*shape: int) -> np.ndarray:
    """Zeros of float32."""
    return np.zeros(shape, np.float32)


def flat(array: np.ndarray) -> np.ndarray:
    """[T, lanes, width] as [T * lanes, width]."""
    return array.reshape(-1, array.shape[-1])


class Gradient:
    """A gradient as a flat vector, and as a view of it for each parameter."""

    def __init__(self, spec: Spec) -> None:
        self.vector = zeros(spec.bounds[-1])
        self.parts = spec.views(self.vector)

    def add_product(self, number: int, delta: np.ndarray, inputs: np.ndarray) -> None:
        """Adds deltaᵀ inputs to the gradient of weight `number`; delta [rows, outputs], inputs [rows, n]."""
        self.parts[number] += np.dot(delta.T, inputs)

    def add_linear(self, number: int, delta: np.ndarray, inputs: np.ndarray) -> None:
        """Adds the gradients of a linear layer's weight `number` and of its bias, the next parameter."""
        self.add_product(number, delta, inputs)
        self.parts[number + 1] += delta.sum(0)

    def norm(self) -> float:
        """The L2 norm."""
        return l2_norm(self.vector)

    def full(self) -> np.ndarray:
        """The flat vector, valid until the next change."""
        return self.vector

    def clear(self) -> None:
        self.vector[:] = 0

    def get_state(self) -> PyTree:
        return self.vector

    def set_state(self, state: PyTree) -> None:
        self.vector[:] = state


class CellsAndHeads:
    """Optional LSTM cells and linear heads, with the activations of each entry.

    Recurrent states before and after an entry are stored apart: the next entry may belong to another actor-learner.

    Args:
      spec: the part of the network.
      first: number of the first parameter of cells and heads.
      entries: number of cache entries.
      lanes: number of actor-learners that act together.
    """

    def __init__(self, spec: PartSpec, first: int, entries: int, lanes: int) -> None:
        self.cells, self.first = spec.lstm, first
        self.widths = [width for _, width in spec.heads]
        width, edges = sum(self.widths), pairwise(accumulate(self.widths, initial=0))
        numbers = count(first + (4 if self.cells else 0), 2)
        self.heads = [(number, slice(*edge)) for number, edge in zip(numbers, edges, strict=False)]
        """The number of each head's weight among the parameters, and its columns of the outputs."""
        self.head_weight, self.head_bias = zeros(width, self.cells or spec.units[-1]), zeros(width)
        self.h, self.c, self.h_next, self.c_next = (zeros(entries, lanes, self.cells) for _ in range(4))
        self.gates, self.bias = zeros(entries, lanes, 4, self.cells), zeros(2, 4 * self.cells)

    def refresh(self, parameters: list[np.ndarray]) -> None:
        """Takes over the parameters of the network."""
        if self.cells:
            self.weight_x, self.weight_h = parameters[self.first : self.first + 2]
            self.bias[:] = parameters[self.first + 2 : self.first + 4]
        for number, columns in self.heads:
            self.head_weight[columns], self.head_bias[columns] = parameters[number : number + 2]

    def forward(self, entry: int, features: np.ndarray, outputs: np.ndarray) -> None:
        """Computes outputs [lanes, width] from features [lanes, n]."""
        if self.cells:
            h_next = self.h_next[entry]
            k.lstm_step(self.weight_x, features, self.weight_h, self.bias, self.gates[entry], self.h[entry],
                        self.c[entry], h_next, self.c_next[entry])  # fmt: skip
            features = h_next
        k.linear(self.head_weight, features, self.head_bias, outputs)

    def backward(self, d_outputs: np.ndarray, features: np.ndarray, entries: slice, gradient: Gradient) -> np.ndarray:
        """Adds the gradients of cells and heads.

        Args:
          d_outputs: ∂loss/∂outputs, [T, lanes, width].
          features: [T * lanes, n].
          entries: the T entries, consecutive in time.
          gradient: of the network.

        Returns:
          ∂loss/∂features, [T * lanes, n].
        """
        delta = np.ascontiguousarray(flat(d_outputs))
        units = flat(self.h_next[entries]) if self.cells else features
        for number, columns in self.heads:
            gradient.add_linear(number, delta[:, columns], units)
        d_units: np.ndarray = np.dot(delta, self.head_weight)
        return self._cells_backward(d_units, features, entries, gradient) if self.cells else d_units

    def _cells_backward(
        self, d_units: np.ndarray, features: np.ndarray, entries: slice, gradient: Gradient
    ) -> np.ndarray:
        gates = self.gates[entries]
        d_gates = np.zeros_like(gates)
        d_h = d_units.reshape(self.h[entries].shape)
        k.lstm_backward(self.weight_h, gates, self.c[entries], self.c_next[entries], d_h, d_gates)
        delta = d_gates.reshape(-1, 4 * self.cells)
        gradient.add_product(self.first, delta, features)
        gradient.add_product(self.first + 1, delta, flat(self.h[entries]))
        for bias in gradient.parts[self.first + 2 : self.first + 4]:
            bias += delta.sum(0)
        d_features: np.ndarray = np.dot(delta, self.weight_x)
        return d_features


class FastNetwork(ABC):
    """A network without autograd at its own copy of the parameters.

    Args:
      spec: its layers.
      entries: number of cache entries: observations whose activations are stored.
      lanes: number of actor-learners that act together; an entry holds one observation of each.
    """

    tops: list[CellsAndHeads]
    """Cells and heads of each part."""

    def __init__(self, spec: Spec, entries: int, lanes: int = 1) -> None:
        self.spec, self.lanes = spec, lanes
        self.local = zeros(spec.bounds[-1])
        self.parameters = spec.views(self.local)
        self.outputs = zeros(entries, lanes, sum(width for part in spec.parts for _, width in part.heads))
        self.cells = [slice(*edge) for edge in pairwise(accumulate((part.lstm for part in spec.parts), initial=0))]

    def new_gradient(self, steps: int) -> Gradient:
        """A gradient of 0 that can sum those of up to `steps` states."""
        return Gradient(self.spec)

    @abstractmethod
    def synchronise(self, theta: np.ndarray) -> None:
        """θ' ← θ."""

    def set_state(self, entry: int, lane: int, state: np.ndarray) -> None:
        """Sets the recurrent state [2, cells] before an entry."""
        for top, cells in zip(self.tops, self.cells, strict=True):
            top.h[entry, lane], top.c[entry, lane] = state[:, cells]

    def state_after(self, entry: int, lane: int) -> np.ndarray:
        """The recurrent state [2, cells] after an entry."""
        state = np.empty((2, self.spec.lstm), np.float32)
        for top, cells in zip(self.tops, self.cells, strict=True):
            state[0, cells], state[1, cells] = top.h_next[entry, lane], top.c_next[entry, lane]
        return state

    @abstractmethod
    def forward(self, entry: int, observations: Sequence[np.ndarray | None]) -> np.ndarray:
        """Outputs [lanes, width], given an observation for each lane; those of a lane with None are undefined."""

    @abstractmethod
    def backward(self, d_outputs: np.ndarray, gradient: Gradient, entry: int = 0) -> None:
        """Adds the gradient for ∂loss/∂outputs [T, lanes, width] of T entries from `entry` on."""

    def update(
        self,
        gradient: Gradient,
        theta: np.ndarray,
        optimizer: Optimizer,
        statistics: np.ndarray,
        learning_rate: float,
        clip: float,
        step: int,
    ) -> None:
        """Updates the shared θ with the gradient clip · dθ, then θ' ← θ; arguments as for `Model.update`."""
        gradient.vector *= np.float32(clip)
        optimizer.update(theta, gradient.vector, statistics, learning_rate, step)
        self.synchronise(theta)
