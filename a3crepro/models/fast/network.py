"""What the networks of the fast path share: a copy of the parameters, gradients, LSTM cells and heads."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import numpy as np

from a3crepro.common.serialization import PyTree
from a3crepro.mathematics.norm import l2_norm
from a3crepro.models.fast import kernels as k
from a3crepro.models.fast.spec import PartSpec, Spec
from a3crepro.models.fast.structs import Cells, Heads, Top
from a3crepro.optimizers._optimizer import Optimizer, OptimizerState, Step


def zeros(*shape: int) -> np.ndarray:
    """Zeros of float32."""
    return np.zeros(shape, np.float32)


def flat(array: np.ndarray) -> np.ndarray:
    """[T, lanes, width] as [T * lanes, width]."""
    return array.reshape(-1, array.shape[-1])


def _slices(widths: Iterable[int]) -> list[slice]:
    """Where each of the concatenated arrays of these widths is."""
    return [slice(*edge) for edge in pairwise(accumulate(widths, initial=0))]


class Gradient:
    """A gradient as a flat vector, and as a view of it for each parameter."""

    def __init__(self, spec: Spec) -> None:
        self.vector = zeros(spec.bounds[-1])
        self.parts = spec.views(self.vector)

    def add_product(self, number: int, delta: np.ndarray, inputs: np.ndarray) -> None:
        """Adds deltaᵀ inputs to the gradient of weight `number`; delta [rows, outputs], inputs [rows, n]."""
        self.parts[number] += np.dot(delta.T, inputs)

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
    """Optional LSTM cells and linear heads.

    Recurrent states before and after an entry are stored apart: the next entry may belong to another actor-learner.

    Args:
      spec: the part of the network.
      parameters: where the cells find their weights, flat.
      bounds: where each parameter begins in the flat vector.
      first: number of the part's first parameter.
      entries: number of cache entries.
      lanes: number of actor-learners that act together.
    """

    def __init__(
        self, spec: PartSpec, parameters: np.ndarray, bounds: Sequence[int], first: int, entries: int, lanes: int
    ) -> None:
        first += 2 * (len(spec.convolutions) + len(spec.units) - 1)
        self.first, units, n = first, spec.lstm, spec.units[-1]
        x, h, b_x, b_h = bounds[first : first + 4] if units else (0, 0, 0, 0)
        weight_x, biases, start = parameters[x:h].reshape(4 * units, n), zeros(2, 4 * units), b_x
        if spec.cells_on_convolutions:
            weight_x, biases, start = zeros(4 * units, 0), zeros(1, 4 * units), b_h
        self.cells = Cells(
            weight_x=weight_x, weight_h=parameters[h:b_x].reshape(4 * units, units), biases=biases, start=start,
            gates=zeros(entries, lanes, 4, units), before=zeros(entries, lanes, 2, units),
            after=zeros(entries, lanes, 2, units),
        )  # fmt: skip
        if units:
            n, first = units, first + 4
        order = self._order_of_heads([width for _, width in spec.heads], n, bounds[first])
        self.width = len(order) // (n + 1)
        both = zeros(len(order))
        weight, bias = np.split(both, [self.width * n])
        self.heads = Heads(weight=weight.reshape(self.width, n), bias=bias, parameters=both, order=order)
        self.top = Top(has_cells=units > 0, cells=self.cells, heads=self.heads)

    def _order_of_heads(self, widths: Sequence[int], n: int, start: int) -> np.ndarray:
        """Where the flat vector has the weights of all heads, then their biases."""
        places: list[tuple[np.ndarray, np.ndarray]] = []
        for width in widths:
            of_head = np.arange(start, start + width * (n + 1), dtype=np.int32)
            places.append((of_head[: width * n], of_head[width * n :]))
            start += width * (n + 1)
        weights, biases = zip(*places, strict=True)
        return np.concatenate([*weights, *biases])

    def backward(
        self, d_outputs: np.ndarray, features: np.ndarray, entry: int, gradient: Gradient, d_features: np.ndarray
    ) -> None:
        """Adds the gradients of cells and heads, and sets that of the features.

        Args:
          d_outputs: ∂loss/∂outputs, [T, lanes, width].
          features: [T * lanes, n].
          entry: the first of the T entries, which are consecutive in time.
          gradient: of the network.
          d_features: receives ∂loss/∂features, [T * lanes, n], or ∂loss/∂(W_x x + b_x) if those are the features.
        """
        delta = flat(d_outputs)
        if not self.top.has_cells:
            k.heads_backward(self.heads, delta, features, gradient.vector, d_features)
            return
        cells, steps, first = self.cells, slice(entry, entry + len(d_outputs)), self.first
        h, h_next = cells.before[steps, :, 0], cells.after[steps, :, 0]
        torso_has_x = cells.weight_x.size == 0
        d_h, d_gates = zeros(*h.shape), d_features if torso_has_x else zeros(len(features), len(cells.weight_x))
        units = np.ascontiguousarray(flat(h_next))
        k.heads_backward(self.heads, delta, units, gradient.vector, flat(d_h))
        d_biases = gradient.vector[cells.start : cells.start + cells.biases.size]
        k.lstm_backward(entry, cells, d_h, d_gates, d_features, d_biases)
        if not torso_has_x:
            gradient.add_product(first, d_gates, features)
        gradient.add_product(first + 1, d_gates, flat(h))


class FastNetwork(ABC):
    """A network without autograd.

    Args:
      spec: its layers.
      entries: number of cache entries: observations whose activations are stored.
      lanes: number of actor-learners that act together; an entry holds one observation of each.
      theta: θ, if nobody writes to it between two calls of `synchronise`: then large weights are not copied. Another
        process may replace θ⁻ as a whole at any time, and then one bootstrap value may mix the old and the new.
    """

    tops: list[CellsAndHeads]
    """Cells and heads of each part."""

    def __init__(self, spec: Spec, entries: int, lanes: int = 1, theta: np.ndarray | None = None) -> None:
        self.spec, self.lanes, self.shares_theta = spec, lanes, theta is not None
        self.local = zeros(spec.bounds[-1]) if theta is None else theta
        self.parameters = spec.views(self.local)
        self.outputs = zeros(entries, lanes, sum(width for part in spec.parts for _, width in part.heads))
        self.heads = [  # of the first lane, by entry
            {name: outputs[0, columns] for name, columns in spec.columns.items()} for outputs in self.outputs
        ]
        self.cells = _slices(part.lstm for part in spec.parts)
        self.columns = _slices(sum(width for _, width in part.heads) for part in spec.parts)
        """Columns of the outputs that belong to each part."""

    def new_gradient(self, steps: int) -> Gradient:
        """A gradient of 0 that can sum those of up to `steps` states."""
        return Gradient(self.spec)

    @abstractmethod
    def synchronise(self, theta: np.ndarray, changed: np.ndarray | None = None) -> None:
        """θ' ← θ; may leave out rows that have not changed, bool [rows]."""

    def set_state(self, entry: int, lane: int, state: np.ndarray) -> None:
        """Sets the recurrent state [2, cells] before an entry."""
        for top, columns in zip(self.tops, self.cells, strict=True):
            top.cells.before[entry, lane] = state[:, columns]

    def state_after(self, entry: int, lane: int) -> np.ndarray:
        """The recurrent state [2, cells] after an entry."""
        return np.concatenate([top.cells.after[entry, lane] for top in self.tops], axis=1)

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
        state: OptimizerState,
        step: Step,
        writes: np.ndarray,
    ) -> None:
        """Updates the shared θ with the gradient clip · dθ, copies what has changed to θ', and counts its rows.

        Args:
          gradient: dθ, which is clipped in place.
          theta: θ, float32 [n].
          optimizer: applies its equation.
          state: of the optimizer.
          step: the size of the update.
          writes: how often each row was written, int32 [rows].
        """
        gradient.vector *= np.float32(step.clip)
        optimizer.update(theta, gradient.vector, state.statistics, step.learning_rate, step.number)
        writes += 1
        self.synchronise(theta)
