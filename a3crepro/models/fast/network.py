"""A network without autograd: a copy of the parameters, the activations of one rollout, and gradients apart from both.

θ' stands still within a rollout and successive pictures barely differ, so only what moved is computed: a convolution
keeps one row for each *distinct* patch of its input, and the hidden layer adds to its sums what the changed positions
change. The weights of large layers have gradients of rank T: they stay in their two factors, their norm comes from Gram
matrices, and clipping, RMSProp and the copy of θ to θ' are one pass in which no gradient is written.

Notation: a *entry* holds the activations of one state, a *row* those of one distinct patch. Arrays end in channels.
Where several actor-learners act together at the same θ', each has a *lane*, and a entry holds one state of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from typing import NamedTuple

import numpy as np

from a3crepro.common.serialization import PyTree
from a3crepro.models.fast import kernels as k
from a3crepro.models.fast.spec import Spec
from a3crepro.optimizers._optimizer import Optimizer

UNROLLED = 5
"""`Optimizer.update_outer` takes so many factors at once, and needs at least as many."""


def zeros(*shape: int) -> np.ndarray:
    """Zeros of float32."""
    return np.zeros(shape, np.float32)


def flat(array: np.ndarray) -> np.ndarray:
    """[T, lanes, width] as [T * lanes, width]."""
    return array.reshape(-1, array.shape[-1])


class Rows:
    """Rows of one layer over the entries: which row each position has in each entry, and what is in it."""

    def __init__(self, side: int, channels: int, entries: int, lanes: int) -> None:
        self.lanes = lanes
        self.index = np.zeros((entries, lanes * side * side), np.int32)
        self.counts = np.zeros(entries + 1, np.int32)
        self.changed = np.zeros((lanes * side, side), np.uint8)
        self.values = zeros(entries * lanes * side * side, channels)

    def used(self, entries: slice) -> slice:
        """From the oldest row that one of these entries has to their latest; some in between may be others' alone."""
        return slice(int(self.index[entries].min()), int(self.counts[entries.stop]))


class Convolution:
    """One rectified convolution over the rows below it.

    The rows below may hold blocks of pixels: then size and stride count blocks, and a row is [channels, block, block].
    """

    def __init__(self, below: Rows, shape: tuple[int, ...], stride: int, block: int) -> None:
        out, channels = shape[:2]
        size, entries = shape[2] // block, len(below.index)
        self.below, self.size, self.stride = below, size, stride // block
        side = (below.changed.shape[1] - size) // self.stride + 1
        self.rows = Rows(side, out, entries, below.lanes)
        rows, width = len(self.rows.values), prod(shape[1:])
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

    def forward(self, entry: int) -> None:
        """The rows of a entry that are new."""
        below, rows = self.below, self.rows
        k.convolve(entry, below.changed, below.index, below.values, self.size, self.stride, self.weight, self.bias,
                   rows.index, rows.counts, rows.changed, self.source, self.patches, rows.values)  # fmt: skip

    def backward(self, entries: slice, d_below: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> None:
        """From `d_rows` of these entries, added to d_below and to the gradients in PyTorch's layout.

        What is added to d_below outside of these entries' rows means nothing.
        """
        rows = self.rows.used(entries)
        d_rows = self.d_rows[rows]
        k.rectify_gradient(d_rows, self.rows.values[rows])
        k.convolve_backward(d_rows, self.patches[rows], self.source[rows], self.weight, self.d_patches[rows],
                            self.d_weight, bias, d_below)  # fmt: skip
        k.add(self.d_weight.reshape(-1), self.order, weight)


class Cells:
    """LSTM cells over the entries: gates, and the state before and after each.

    The two are kept apart, for a entry and the next one may belong to different actor-learners.
    """

    def __init__(self, units: int, entries: int, lanes: int) -> None:
        self.h, self.c, self.h_next, self.c_next = (zeros(entries, lanes, units) for _ in range(4))
        self.gates = zeros(entries, lanes, 4, units)

    def forward(
        self, entry: int, units: np.ndarray, weight_x: np.ndarray, weight_h: np.ndarray, bias: np.ndarray
    ) -> np.ndarray:
        """From the units below [lanes, n] to the activations of the cells."""
        h_next: np.ndarray = self.h_next[entry]
        k.lstm_step(weight_x, units, weight_h, bias, self.gates[entry], self.h[entry], self.c[entry],
                    h_next, self.c_next[entry])  # fmt: skip
        return h_next

    def backward(self, entries: slice, d_h: np.ndarray, weight_h: np.ndarray) -> np.ndarray:
        """The gradient of the gates' sums [T * lanes, 4 * units] of these entries, one after another in time."""
        d_gates = zeros(*d_h.shape[:2], 4, d_h.shape[2])
        k.lstm_backward(weight_h, self.gates[entries], self.c[entries], self.c_next[entries], d_h, d_gates)
        return d_gates.reshape(-1, 4 * d_h.shape[2])


FEW = 2 * UNROLLED
"""Up to so many states it pays to keep a large weight's gradient in its factors."""


class Factor(NamedTuple):
    """A large weight's gradient, δᵀ inputs, of which only the factors are kept; rows that are not in use are 0."""

    number: int
    """Of the weight among the parameters."""
    delta: np.ndarray
    inputs: np.ndarray


class Gradient:
    """The summed gradient of up to `steps` states: those of large weights in their factors, the others written."""

    def __init__(self, spec: Spec, steps: int) -> None:
        self.spec, self.steps = spec, 0
        n, rows = spec.hidden_number, max(steps, UNROLLED)
        self.vector = zeros(spec.bounds[-1])  # memory that is never written is never taken
        self.whole = False  # everything is written, the large weights', too
        shapes = {n: spec.shapes[n], **({i: spec.shapes[i] for i in (n + 2, n + 3)} if spec.lstm else {})}
        self.factors = [Factor(i, zeros(rows, outputs), zeros(rows, inputs)) for i, (outputs, inputs) in shapes.items()]
        self.written = spec.between([*shapes])

    def expand(self) -> None:
        """Writes the products of the factors: cheaper than to work with them, where there are many."""
        for number, delta, inputs in self.factors:
            product = self.part(number).reshape(delta.shape[1], -1)
            np.dot(delta[: self.steps].T, inputs[: self.steps], out=product)
        self.whole = True

    def part(self, number: int) -> np.ndarray:
        """The written gradient of a parameter."""
        return self.spec.parameter(self.vector, number)

    def norm(self) -> float:
        """L2 norm of the whole gradient."""
        if self.steps > FEW:
            self.expand()
            return float(np.sqrt(k.square_norm(self.vector)))
        total = sum(k.square_norm(self.vector[part]) for part in self.written)
        for _, delta, inputs in self.factors:
            square = k.outer_square_norm(delta[: self.steps], inputs[: self.steps])
            total += 0.0 if square < 0 else square  # factors that cancel leave a rounding error; NaN stays NaN
        return float(np.sqrt(total))

    def full(self) -> np.ndarray:
        """The whole gradient as a flat vector, which is good until the next change."""
        if self.steps > FEW:
            self.expand()
            return self.vector
        full: np.ndarray = np.array(self.vector)
        for number, delta, inputs in self.factors:
            k.add_outer(delta[: self.steps], inputs[: self.steps], self.spec.parameter(full, number))
        return full

    def clear(self) -> None:
        """Sets the gradient to 0."""
        for part in [slice(None)] if self.whole else self.written:
            self.vector[part] = 0
        self.whole = False
        for factor in self.factors:
            factor.delta[:] = 0
            factor.inputs[: self.steps] = 0  # also what was not finite: 0 times it would be no 0
        self.steps = 0

    def get_state(self) -> PyTree:
        """What it is made of."""
        factors = [(delta, inputs[: self.steps]) for _, delta, inputs in self.factors]
        return {"steps": self.steps, "written": [self.vector[part] for part in self.written], "factors": factors}

    def set_state(self, state: PyTree) -> None:
        """Takes over what `get_state` told."""
        self.steps = state["steps"]
        for part, values in zip(self.written, state["written"], strict=True):
            self.vector[part] = values
        for factor, (delta, inputs) in zip(self.factors, state["factors"], strict=True):
            factor.delta[:], factor.inputs[: self.steps] = delta, inputs


class FastNetwork:
    """A network at its own copy of the parameters.

    Args:
      spec: what it looks like.
      entries: states whose activations are kept; entry 0 is computed as a whole, the later ones from what moved.
      lanes: actor-learners that act together.
    """

    def __init__(self, spec: Spec, entries: int, lanes: int = 1) -> None:
        self.spec, self.lanes = spec, lanes
        self.local = zeros(spec.bounds[-1])
        self._build_convolutions(entries)
        self.hidden_number = spec.hidden_number
        rows = self.convolutions[-1].rows
        positions, channels, hidden = rows.index.shape[1] // lanes, rows.values.shape[1], spec.hidden
        self.blocks = zeros(positions, hidden, channels)
        # The parts of θ' that `local` holds; the hidden layer's weight is in `blocks`.
        self.kept = spec.between([self.hidden_number])
        self.sums, self.features = zeros(entries, lanes, hidden), zeros(entries, lanes, hidden)
        units = spec.lstm or hidden
        width = sum(width for _, width in spec.heads)
        self.outputs = zeros(entries, lanes, width)
        self.head_weight, self.head_bias = zeros(width, units), zeros(width)
        if spec.lstm:
            self.cells = Cells(units, entries, lanes)

    def _build_convolutions(self, entries: int) -> None:
        spec = self.spec
        channels, height, _ = spec.observation
        block = self.block = spec.convolutions[0][2]
        below = self.pixels = Rows(height // block, channels * block * block, entries, self.lanes)
        self.previous = [np.zeros(spec.observation, np.uint8) for _ in range(self.lanes)]
        self.latest = np.arange(below.index.shape[1], dtype=np.int32)
        self.convolutions: list[Convolution] = []
        for shape, (_, _, stride) in zip(spec.shapes[::2], spec.convolutions, strict=False):
            self.convolutions.append(Convolution(below, shape, stride, block))
            below, block = self.convolutions[-1].rows, 1

    # ---- Parameters --------------------------------------------------------------------------------------------------

    def synchronise(self, theta: np.ndarray) -> None:
        """θ' ← θ."""
        for part in self.kept:
            self.local[part] = theta[part]
        weight = self.spec.parameter(theta, self.hidden_number).reshape(self.spec.hidden, len(self.blocks), -1)
        self.blocks[...] = weight.transpose(1, 0, 2)
        self._spread()

    def _spread(self) -> None:
        """Brings the small layers' working copies up to date with the local vector."""
        part, n = partial(self.spec.parameter, self.local), self.hidden_number
        for i, layer in enumerate(self.convolutions):
            layer.synchronise(part(2 * i), part(2 * i + 1))
        for number, columns in self._heads():
            self.head_weight[columns].reshape(-1)[...] = part(number)
            self.head_bias[columns] = part(number + 1)
        self.bias = part(n + 1)
        if self.spec.lstm:
            self.weight_x, self.weight_h = (part(i).reshape(4 * self.spec.lstm, -1) for i in (n + 2, n + 3))
            self.lstm_bias = np.stack((part(n + 4), part(n + 5)))

    def _heads(self) -> Iterator[tuple[int, slice]]:
        """The number of each head's weight among the parameters, and its columns of the outputs."""
        column, number = 0, len(self.spec.shapes) - 2 * len(self.spec.heads)
        for _, width in self.spec.heads:
            yield number, slice(column, column + width)
            column, number = column + width, number + 2

    def new_gradient(self, steps: int) -> Gradient:
        """Of 0, for so many states at most."""
        return Gradient(self.spec, steps)

    # ---- Forward -----------------------------------------------------------------------------------------------------

    def set_state(self, entry: int, lane: int, state: np.ndarray) -> None:
        """The recurrent state [2, cells] before a entry."""
        self.cells.h[entry, lane], self.cells.c[entry, lane] = state

    def state_after(self, entry: int, lane: int) -> np.ndarray:
        """The recurrent state [2, cells] after a entry."""
        return np.stack((self.cells.h_next[entry, lane], self.cells.c_next[entry, lane]))

    def forward(self, entry: int, observations: Sequence[np.ndarray | None]) -> np.ndarray:
        """Outputs [lanes, width] for each lane's observation [channels, height, width]: uint8, or float32 as it is.

        The entries before it belong to earlier ones. None: a lane that is not asked; its outputs mean nothing.
        """
        pixels, last = self.pixels, self.convolutions[-1].rows
        pixels.counts[entry + 1] = pixels.counts[entry]
        for lane, observation in enumerate(observations):
            previous = self.previous[lane]
            now = previous if observation is None else observation
            if now.dtype != previous.dtype:
                previous = self.previous[lane] = now + 1  # different everywhere
            scale = self.spec.scale if now.dtype == np.uint8 else 1.0
            k.observe(entry, lane, now, previous, self.block, scale, pixels.index, self.latest,
                      pixels.counts, pixels.changed, pixels.values)  # fmt: skip
        for layer in self.convolutions:
            layer.forward(entry)
        k.dense(entry, last.changed, last.index, last.values, self.blocks, self.bias, self.sums, self.features)
        units = self.features[entry]
        if self.spec.lstm:
            units = self.cells.forward(entry, units, self.weight_x, self.weight_h, self.lstm_bias)
        outputs: np.ndarray = self.outputs[entry]
        k.linear(self.head_weight, units, self.head_bias, outputs)
        return outputs

    # ---- Backward ----------------------------------------------------------------------------------------------------

    def backward(self, d_outputs: np.ndarray, gradient: Gradient, entry: int = 0) -> None:
        """Adds the gradient for ∂loss/∂outputs [T, lanes, width] of the T entries from this one on."""
        T, n = len(d_outputs), self.hidden_number
        now, entries = slice(gradient.steps, gradient.steps + T * self.lanes), slice(entry, entry + T)
        gradient.steps = now.stop
        hidden = gradient.factors[0]
        delta = hidden.delta[now]
        delta[...] = self._heads_backward(d_outputs, gradient, now, entries)
        k.rectify_gradient(delta, flat(self.features[entries]))
        gradient.part(n + 1)[...] += delta.sum(0)
        last = self.convolutions[-1]
        index = last.rows.index[entries]
        k.gather_states(index, last.rows.values, hidden.inputs[now])
        for layer in self.convolutions:
            layer.d_rows[layer.rows.used(entries)] = 0
        k.dense_backward(index, delta, self.blocks, last.d_rows)
        for i in reversed(range(len(self.convolutions))):
            d_below = self.convolutions[i - 1].d_rows if i else zeros(0, 0)
            self.convolutions[i].backward(entries, d_below, gradient.part(2 * i), gradient.part(2 * i + 1))

    def _heads_backward(self, d_outputs: np.ndarray, gradient: Gradient, now: slice, entries: slice) -> np.ndarray:
        """Through heads and LSTM cells; the gradient of the rectified hidden units, [T * lanes, hidden]."""
        units = flat(self.cells.h_next[entries] if self.spec.lstm else self.features[entries])
        d_outputs = flat(d_outputs)
        for number, columns in self._heads():
            delta = np.ascontiguousarray(d_outputs[:, columns])
            k.add_outer(delta, units, gradient.part(number))
            gradient.part(number + 1)[...] += delta.sum(0)
        d_units: np.ndarray = np.dot(d_outputs, self.head_weight)
        return self._lstm_backward(d_units, gradient, now, entries) if self.spec.lstm else d_units

    def _lstm_backward(self, d_units: np.ndarray, gradient: Gradient, now: slice, entries: slice) -> np.ndarray:
        units, lanes, n = self.spec.lstm, self.lanes, self.hidden_number
        _, from_x, from_h = gradient.factors
        delta = self.cells.backward(entries, d_units.reshape(-1, lanes, units), self.weight_h)
        from_x.delta[now] = from_h.delta[now] = delta
        from_x.inputs[now], from_h.inputs[now] = flat(self.features[entries]), flat(self.cells.h[entries])
        for number in (n + 4, n + 5):
            gradient.part(number)[...] += delta.sum(0)
        d_features: np.ndarray = np.dot(delta, self.weight_x)
        return d_features

    # ---- Update ------------------------------------------------------------------------------------------------------

    def update(
        self,
        gradient: Gradient,
        theta: np.ndarray,
        optimizer: Optimizer,
        statistics: np.ndarray,
        rate: float,
        scale: float,
        step: int,
    ) -> None:
        """One step of a fused optimizer on the shared θ with the gradient times `scale`, and θ' ← θ, in one pass."""
        if gradient.whole:
            gradient.vector *= np.float32(scale)
            optimizer.update(theta, gradient.vector, statistics, rate, step)
            self.synchronise(theta)
            return
        for part in gradient.written:
            gradient.vector[part] *= scale
            optimizer.update(theta[part], gradient.vector[part], statistics[:, part], rate, step)
            self.local[part] = theta[part]
        copies = [self.blocks, *((self.weight_x[None], self.weight_h[None]) if self.spec.lstm else ())]
        for (number, delta, inputs), copy in zip(gradient.factors, copies, strict=True):
            weight, of_weight = (
                self.spec.parameter(theta, number),
                [self.spec.parameter(vector, number) for vector in statistics],
            )
            optimizer.update_outer(weight, delta, inputs, of_weight, copy, scale, rate)
        self._spread()
