"""A network without autograd, for one actor-learner: a copy of the parameters, and the activations of one rollout.

θ' stands still within a rollout and successive pictures barely differ, so only what moved is computed: a convolution
keeps one row for each *distinct* patch of its input, and the hidden layer adds to its sums what the changed positions
change. The weights of large layers have gradients of rank T: they stay in their two factors, their norm comes from Gram
matrices, and clipping, RMSProp and the copy of θ to θ' are one pass in which no gradient is written.

Notation: a *slot* holds the activations of one state, a *row* those of one distinct patch. Arrays end in channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from a3crepro.fast import kernels as k
from a3crepro.fast.spec import Spec
from a3crepro.optimizers.rmsprop import rmsprop_update

UNROLLED = 5
"""`kernels.rmsprop_outer` takes so many factors at once, and needs at least as many."""


def zeros(*shape: int) -> np.ndarray:
    """Zeros of float32."""
    return np.zeros(shape, np.float32)


class Rows:
    """Rows of one layer over the slots: which row each position has in each slot, and what is in it."""

    def __init__(self, side: int, channels: int, slots: int) -> None:
        self.index = np.zeros((slots, side * side), np.int32)
        self.counts = np.zeros(slots + 1, np.int32)
        self.changed = np.zeros((side, side), np.uint8)
        self.values = zeros(slots * side * side, channels)


class Convolution:
    """One rectified convolution over the rows below it.

    The rows below may hold blocks of pixels: then size and stride count blocks, and a row is [channels, block, block].
    """

    def __init__(self, below: Rows, shape: tuple[int, ...], stride: int, block: int) -> None:
        out, channels = shape[:2]
        size, slots = shape[2] // block, len(below.index)
        self.below, self.size, self.stride = below, size, stride // block
        side = (below.changed.shape[0] - size) // self.stride + 1
        self.rows = Rows(side, out, slots)
        rows, width = slots * side * side, prod(shape[1:])
        self.weight, self.bias = zeros(width, out), zeros(out)
        # order[i]: where PyTorch keeps number i of ours, [y, x, in, y in block, x in block, out]
        places = np.arange(prod(shape), dtype=np.int32).reshape(out, channels, size, block, size, block)
        self.order = places.transpose(2, 4, 1, 3, 5, 0).ravel()
        self.patches, self.d_patches = zeros(rows, width), zeros(rows, width)
        self.source = np.zeros((rows, size * size), np.int32)
        self.d_rows, self.d_weight = zeros(rows, out), zeros(width, out)

    def synchronise(self, weight: np.ndarray, bias: np.ndarray) -> None:
        """Takes over parameters in PyTorch's layout."""
        k.take(weight, self.order, self.weight.reshape(-1))
        self.bias[...] = bias

    def forward(self, slot: int) -> None:
        """The rows of a slot that are new."""
        below, rows = self.below, self.rows
        k.convolve(slot, below.changed, below.index, below.values, self.size, self.stride, self.weight, self.bias,
                   rows.index, rows.counts, rows.changed, self.source, self.patches, rows.values)  # fmt: skip

    def backward(self, rows: int, d_below: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> None:
        """From `d_rows` of the first so many rows to d_below, and added to the gradients in PyTorch's layout."""
        d_rows = self.d_rows[:rows]
        k.rectify_gradient(d_rows, self.rows.values[:rows])
        k.convolve_backward(d_rows, self.patches[:rows], self.source[:rows], self.weight, self.d_patches[:rows],
                            self.d_weight, bias, d_below)  # fmt: skip
        k.add(self.d_weight.reshape(-1), self.order, weight)


class FastNetwork:
    """A network at its own copy of the parameters.

    Args:
      spec: what it looks like.
      slots: states whose activations are kept; slot 0 is computed as a whole, the later ones from what moved.
      steps: gradients of at most so many states are summed before they are applied.
    """

    def __init__(self, spec: Spec, slots: int, steps: int) -> None:
        self.spec, self.bounds = spec, spec.bounds
        self.local, self.gradient = zeros(self.bounds[-1]), zeros(self.bounds[-1])
        self._build_convolutions(slots)
        self.hidden_number = 2 * len(self.convolutions)  # of the hidden layer's weight among the parameters
        rows = self.convolutions[-1].rows
        positions, channels, hidden = rows.index.shape[1], rows.values.shape[1], spec.hidden
        self.blocks = zeros(positions, hidden, channels)
        n = self.hidden_number
        self.kept = self._between([n])  # the parts of θ' that `local` holds; the hidden layer's weight is in `blocks`
        # The parts whose gradients are written; those of large weights stay in their factors.
        self.written = self._between([n, n + 2, n + 3] if spec.lstm else [n])
        self.sums, self.features = zeros(slots, hidden), zeros(slots, hidden)
        units = spec.lstm or hidden
        width = sum(width for _, width in spec.heads)
        self.outputs = zeros(slots, width)
        self.head_weight, self.head_bias = zeros(width, units), zeros(width)
        self.steps, factors = 0, max(steps, UNROLLED)
        self.inputs, self.d_hidden = zeros(factors, positions * channels), zeros(factors, hidden)
        if spec.lstm:
            self.h, self.c, self.gates = zeros(slots + 1, units), zeros(slots + 1, units), zeros(slots, 4, units)
            self.inputs_x, self.inputs_h = zeros(factors, hidden), zeros(factors, units)
            self.d_gates = zeros(factors, 4, units)

    def _build_convolutions(self, slots: int) -> None:
        spec = self.spec
        channels, height, _ = spec.observation
        block = self.block = spec.convolutions[0][2]
        below = self.pixels = Rows(height // block, channels * block * block, slots)
        self.previous = np.zeros(spec.observation, np.uint8)
        self.latest = np.arange(below.index.shape[1], dtype=np.int32)
        self.convolutions: list[Convolution] = []
        for shape, (_, _, stride) in zip(spec.shapes[::2], spec.convolutions, strict=False):
            self.convolutions.append(Convolution(below, shape, stride, block))
            below, block = self.convolutions[-1].rows, 1

    def _between(self, numbers: list[int]) -> list[slice]:
        """The parts of the flat vector between these parameters."""
        edges = [0, *(self.bounds[j] for i in numbers for j in (i, i + 1)), self.bounds[-1]]
        return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]

    def parameter(self, flat: np.ndarray, number: int) -> np.ndarray:
        """The part of a flat vector that belongs to one of the module's parameters."""
        return flat[self.bounds[number] : self.bounds[number + 1]]

    # ---- Parameters --------------------------------------------------------------------------------------------------

    def synchronise(self, theta: np.ndarray) -> None:
        """θ' ← θ."""
        for part in self.kept:
            self.local[part] = theta[part]
        weight = self.parameter(theta, self.hidden_number).reshape(self.spec.hidden, len(self.blocks), -1)
        self.blocks[...] = weight.transpose(1, 0, 2)
        self._spread()

    def _spread(self) -> None:
        """Brings the small layers' working copies up to date with the local vector."""
        local, n = self.local, self.hidden_number
        for i, layer in enumerate(self.convolutions):
            layer.synchronise(self.parameter(local, 2 * i), self.parameter(local, 2 * i + 1))
        for number, columns in self._heads():
            self.head_weight[columns].reshape(-1)[...] = self.parameter(local, number)
            self.head_bias[columns] = self.parameter(local, number + 1)
        self.bias = self.parameter(local, n + 1)
        if self.spec.lstm:
            self.weight_x = self.parameter(local, n + 2).reshape(4 * self.spec.lstm, -1)
            self.weight_h = self.parameter(local, n + 3).reshape(4 * self.spec.lstm, -1)
            self.lstm_bias = local[self.bounds[n + 4] : self.bounds[n + 6]].reshape(2, -1)

    def _heads(self) -> Iterator[tuple[int, slice]]:
        """The number of each head's weight among the parameters, and its columns of the outputs."""
        column, number = 0, len(self.bounds) - 1 - 2 * len(self.spec.heads)
        for _, width in self.spec.heads:
            yield number, slice(column, column + width)
            column, number = column + width, number + 2

    # ---- Forward -----------------------------------------------------------------------------------------------------

    def forward(self, slot: int, observation: np.ndarray) -> np.ndarray:
        """Outputs for an observation, uint8 [channels, height, width]; the slots before it belong to earlier ones."""
        pixels, last = self.pixels, self.convolutions[-1].rows
        k.observe(slot, observation, self.previous, self.block, self.spec.scale, pixels.index, self.latest,
                  pixels.counts, pixels.changed, pixels.values)  # fmt: skip
        for layer in self.convolutions:
            layer.forward(slot)
        k.dense(slot, last.changed, last.index, last.values, self.blocks, self.bias, self.sums, self.features)
        units = self.features[slot]
        if self.spec.lstm:
            k.lstm_step(self.weight_x, units, self.weight_h, self.lstm_bias, self.gates[slot], self.h[slot],
                        self.c[slot], self.h[slot + 1], self.c[slot + 1])  # fmt: skip
            units = self.h[slot + 1]
        outputs: np.ndarray = self.outputs[slot]
        k.linear(self.head_weight, units, self.head_bias, outputs)
        return outputs

    # ---- Backward ----------------------------------------------------------------------------------------------------

    def backward(self, d_outputs: np.ndarray, slot: int = 0) -> None:
        """Adds the gradient for ∂loss/∂outputs [T, width] of the T slots from this one on."""
        T, n = len(d_outputs), self.hidden_number
        now, slots = slice(self.steps, self.steps + T), slice(slot, slot + T)
        self.steps += T
        delta = self.d_hidden[now]
        self._heads_backward(d_outputs, now, slots)
        k.rectify_gradient(delta, self.features[slots])
        self.parameter(self.gradient, n + 1)[...] += delta.sum(0)
        last = self.convolutions[-1]
        index = last.rows.index[slots]
        k.gather_states(index, last.rows.values, self.inputs[now])
        if slot:
            last.d_rows[: last.rows.counts[slots.stop]] = 0  # rows that only earlier slots have
        k.dense_backward(index, delta, self.blocks, last.d_rows)
        for i in reversed(range(len(self.convolutions))):
            layer, below = self.convolutions[i], self.convolutions[i - 1]
            d_below = below.d_rows[: below.rows.counts[slots.stop]] if i else zeros(0, 0)
            weight, bias = self.parameter(self.gradient, 2 * i), self.parameter(self.gradient, 2 * i + 1)
            layer.backward(layer.rows.counts[slots.stop], d_below, weight, bias)

    def _heads_backward(self, d_outputs: np.ndarray, now: slice, slots: slice) -> None:
        units = self.h[slots.start + 1 : slots.stop + 1] if self.spec.lstm else self.features[slots]
        for number, columns in self._heads():
            delta = np.ascontiguousarray(d_outputs[:, columns])
            k.add_outer(delta, units, self.parameter(self.gradient, number))
            self.parameter(self.gradient, number + 1)[...] += delta.sum(0)
        d_units = np.dot(d_outputs, self.head_weight)
        if self.spec.lstm:
            self._lstm_backward(d_units, now, slots)
        else:
            self.d_hidden[now] = d_units

    def _lstm_backward(self, d_units: np.ndarray, now: slice, slots: slice) -> None:
        T, n, d_gates = len(d_units), self.hidden_number, self.d_gates[now]
        gates, c = self.gates[slots], self.c[slots.start :]
        k.lstm_backward(self.weight_x, self.weight_h, gates, c, d_units, d_gates, self.d_hidden[now])
        self.inputs_x[now], self.inputs_h[now] = self.features[slots], self.h[slots]
        d_bias = d_gates.reshape(T, -1).sum(0)
        for number in (n + 4, n + 5):
            self.parameter(self.gradient, number)[...] += d_bias

    def _factors(self, steps: int) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Parameter, δ, inputs and working copy of each weight whose gradient is δᵀ inputs; δ is 0 where unused."""
        n = self.hidden_number
        yield n, self.d_hidden[:steps], self.inputs[:steps], self.blocks
        if self.spec.lstm:
            d_gates = self.d_gates[:steps].reshape(steps, 4 * self.spec.lstm)
            yield n + 2, d_gates, self.inputs_x[:steps], self.weight_x[None]
            yield n + 3, d_gates, self.inputs_h[:steps], self.weight_h[None]

    def gradient_norm(self) -> float:
        """L2 norm of the whole gradient."""
        total = sum(k.square_norm(self.gradient[part]) for part in self.written)
        for _, delta, inputs, _ in self._factors(self.steps):
            square = k.outer_square_norm(delta, inputs)
            total += 0.0 if square < 0 else square  # factors that cancel leave a rounding error; NaN stays NaN
        return float(np.sqrt(total))

    def full_gradient(self) -> np.ndarray:
        """The whole gradient as a new flat vector."""
        full: np.ndarray = np.array(self.gradient)
        for number, delta, inputs, _ in self._factors(self.steps):
            k.add_outer(delta, inputs, self.parameter(full, number))
        return full

    def clear_gradient(self) -> None:
        """Sets the gradient to 0."""
        for part in self.written:
            self.gradient[part] = 0
        self.d_hidden[:] = 0
        if self.spec.lstm:
            self.d_gates[:] = 0
        self.steps = 0

    # ---- Update ------------------------------------------------------------------------------------------------------

    def apply_rmsprop(
        self, theta: np.ndarray, g: np.ndarray, scale: float, rate: float, alpha: float, epsilon: float
    ) -> None:
        """RMSProp on the shared θ and g with the gradient times `scale`, and θ' ← θ, in one pass."""
        for part in self.written:
            self.gradient[part] *= scale
            rmsprop_update(theta[part], self.gradient[part], g[part], rate, alpha, epsilon)
            self.local[part] = theta[part]
        for number, delta, inputs, copy in self._factors(len(self.d_hidden)):
            weight, g_weight = self.parameter(theta, number), self.parameter(g, number)
            k.rmsprop_outer(weight, g_weight, delta, inputs, copy, scale, rate, alpha, epsilon)
        self._spread()
