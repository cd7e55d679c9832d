"""Convolutions, one hidden layer, LSTM cells and heads without autograd.

θ' does not change within a rollout and successive frames barely differ, so only what changed is computed: a convolution
stores one row for each *distinct* patch of its input, and the hidden layer adds to its last pre-activations the
contribution of the positions that changed. The gradients of large weights have rank T and stay factored: their norm
comes from Gram matrices, and clipping, the optimizer's update and θ' ← θ are one pass that never materialises them.

Notation: an *entry* holds the activations of one observation (of each lane), a *row* those of one distinct patch.
Arrays end in channels.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from a3crepro.common.serialization import PyTree
from a3crepro.models.fast import kernels as k
from a3crepro.models.fast.network import CellsAndHeads, FastNetwork, Gradient, flat, zeros
from a3crepro.models.fast.spec import Spec
from a3crepro.optimizers._optimizer import Optimizer

MIN_OUTER_ROWS = 5
"""Minimum number of rows of the factors that `Optimizer.update_outer` takes."""
MAX_FACTORED_STATES = 10
"""Maximum number of states for which a factored gradient is faster than its product."""


class Rows:
    """The rows of one layer, and the row of each position in each entry."""

    def __init__(self, side: int, channels: int, entries: int, lanes: int) -> None:
        self.lanes = lanes
        self.index = np.zeros((entries, lanes * side * side), np.int32)
        self.counts = np.zeros(entries + 1, np.int32)
        self.changed = np.zeros((lanes * side, side), np.uint8)
        self.values = zeros(entries * lanes * side * side, channels)

    def used(self, entries: slice) -> slice:
        """From the oldest row that these entries use to the latest; other entries may use some in between."""
        return slice(int(self.index[entries].min()), int(self.counts[entries.stop]))


class Convolution:
    """A rectified convolution over the rows of the layer below.

    Args:
      below: these rows. If they hold blocks of pixels [channels, block, block], size and stride count blocks.
      shape: of the weight.
      stride: in pixels, or in positions of the layer below.
      block: width of the blocks, or 1.
    """

    def __init__(self, below: Rows, shape: tuple[int, ...], stride: int, block: int) -> None:
        out, channels = shape[:2]
        size, entries = shape[2] // block, len(below.index)
        self.below, self.size, self.stride = below, size, stride // block
        side = (below.changed.shape[1] - size) // self.stride + 1
        self.rows = Rows(side, out, entries, below.lanes)
        rows, width = len(self.rows.values), prod(shape[1:])
        self.weight, self.bias = zeros(width, out), zeros(out)
        # order[i]: the index in PyTorch's weight of element i of this one, [y, x, in, y in block, x in block, out]
        places = np.arange(prod(shape), dtype=np.int32).reshape(out, channels, size, block, size, block)
        self.order = places.transpose(2, 4, 1, 3, 5, 0).ravel()
        self.patches, self.d_patches = zeros(rows, width), zeros(rows, width)
        self.source = np.zeros((rows, size * size), np.int32)
        self.d_rows, self.d_weight = zeros(rows, out), zeros(width, out)

    def synchronise(self, weight: np.ndarray, bias: np.ndarray) -> None:
        """Copies parameters, flat in PyTorch's layout."""
        k.take(weight, self.order, self.weight.reshape(-1))
        self.bias[...] = bias

    def forward(self, entry: int) -> None:
        """Computes the new rows of an entry."""
        below, rows = self.below, self.rows
        k.convolve(entry, below.changed, below.index, below.values, self.size, self.stride, self.weight, self.bias,
                   rows.index, rows.counts, rows.changed, self.source, self.patches, rows.values)  # fmt: skip

    def backward(self, entries: slice, d_below: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> None:
        """Adds to the gradients of weight and bias, flat in PyTorch's layout, and to d_below, given `d_rows`.

        Only the rows of d_below that these entries use are valid.
        """
        rows = self.rows.used(entries)
        d_rows = self.d_rows[rows]
        k.rectify_gradient(d_rows, self.rows.values[rows])
        k.convolve_backward(d_rows, self.patches[rows], self.source[rows], self.weight, self.d_patches[rows],
                            self.d_weight, bias, d_below)  # fmt: skip
        k.add(self.d_weight.reshape(-1), self.order, weight)


class Factors(NamedTuple):
    """The gradient deltaᵀ inputs of a large weight; unused rows are 0."""

    delta: np.ndarray
    inputs: np.ndarray


class FactoredGradient(Gradient):
    """A gradient of up to `steps` states, in which those of large weights stay factored as long as possible."""

    def __init__(self, spec: Spec, steps: int) -> None:
        super().__init__(spec)  # memory that is never written is never allocated
        hidden, rows = 2 * len(spec.convolutions), max(steps, MIN_OUTER_ROWS)
        weights = [hidden, *((hidden + 2, hidden + 3) if spec.lstm else ())]
        self.factors = {i: Factors(zeros(rows, spec.shapes[i][0]), zeros(rows, spec.shapes[i][1])) for i in weights}
        self.spec, self.steps, self.rows = spec, 0, slice(0)
        self.unfactored = spec.slices_without(weights)
        self.is_expanded = False

    def begin(self, states: int) -> None:
        """Makes room for the factors of the next `states` states, at `rows`."""
        self.rows = slice(self.steps, self.steps + states)
        self.steps = self.rows.stop

    def add_product(self, number: int, delta: np.ndarray, inputs: np.ndarray) -> None:
        if number in self.factors:
            factors = self.factors[number]
            factors.delta[self.rows], factors.inputs[self.rows] = delta, inputs
        else:
            k.add_outer(np.ascontiguousarray(delta), inputs, self.parts[number].reshape(-1))

    def expand(self) -> None:
        """Writes the products of the factors to the vector."""
        for number, (delta, inputs) in self.factors.items():
            np.dot(delta[: self.steps].T, inputs[: self.steps], out=self.parts[number])
        self.is_expanded = True

    def norm(self) -> float:
        if self.steps > MAX_FACTORED_STATES:
            self.expand()
            return float(np.sqrt(k.square_norm(self.vector)))
        total = sum(k.square_norm(self.vector[part]) for part in self.unfactored)
        for delta, inputs in self.factors.values():
            square = k.outer_square_norm(delta[: self.steps], inputs[: self.steps])
            total += 0.0 if square < 0 else square  # a rounding error, if factors cancel; NaN stays NaN
        return float(np.sqrt(total))

    def full(self) -> np.ndarray:
        if self.steps > MAX_FACTORED_STATES:
            self.expand()
            return self.vector
        full: np.ndarray = np.array(self.vector)
        for number, (delta, inputs) in self.factors.items():
            k.add_outer(delta[: self.steps], inputs[: self.steps], self.spec.parameter(full, number))
        return full

    def clear(self) -> None:
        for part in [slice(None)] if self.is_expanded else self.unfactored:
            self.vector[part] = 0
        self.is_expanded = False
        for factors in self.factors.values():
            factors.delta[:] = 0
            factors.inputs[: self.steps] = 0  # also what is not finite: its product with 0 would not be 0
        self.steps = 0

    def get_state(self) -> PyTree:
        factors = [(delta, inputs[: self.steps]) for delta, inputs in self.factors.values()]
        return {"steps": self.steps, "unfactored": [self.vector[part] for part in self.unfactored], "factors": factors}

    def set_state(self, state: PyTree) -> None:
        self.steps = state["steps"]
        for part, values in zip(self.unfactored, state["unfactored"], strict=True):
            self.vector[part] = values
        for factors, (delta, inputs) in zip(self.factors.values(), state["factors"], strict=True):
            factors.delta[:], factors.inputs[: self.steps] = delta, inputs


class ConvolutionalNetwork(FastNetwork):
    """Convolutions, a hidden layer, LSTM cells and heads; entry 0 is computed as a whole, later ones from changes."""

    def __init__(self, spec: Spec, entries: int, lanes: int = 1) -> None:
        super().__init__(spec, entries, lanes)
        self._build_convolutions(entries)
        self.hidden_number = 2 * len(spec.convolutions)
        rows, (_, hidden) = self.convolutions[-1].rows, spec.parts[0].units
        positions, channels = rows.index.shape[1] // lanes, rows.values.shape[1]
        self.blocks = zeros(positions, hidden, channels)
        """The weight of the hidden layer, position by position; `local` holds the other parameters."""
        self.local_slices = spec.slices_without([self.hidden_number])
        self.sums, self.features = zeros(entries, lanes, hidden), zeros(entries, lanes, hidden)
        self.top = CellsAndHeads(spec.parts[0], self.hidden_number + 2, entries, lanes)
        self.tops = [self.top]

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

    def new_gradient(self, steps: int) -> FactoredGradient:
        return FactoredGradient(self.spec, steps)

    # ---- Parameters --------------------------------------------------------------------------------------------------

    def synchronise(self, theta: np.ndarray) -> None:
        for part in self.local_slices:
            self.local[part] = theta[part]
        positions, hidden, _ = self.blocks.shape
        weight = self.spec.parameter(theta, self.hidden_number).reshape(hidden, positions, -1)
        self.blocks[...] = weight.transpose(1, 0, 2)
        self._refresh()

    def _refresh(self) -> None:
        """Brings the layers' copies of small parameters up to date with `local`."""
        weights, biases = self.parameters[::2], self.parameters[1::2]
        for layer, weight, bias in zip(self.convolutions, weights, biases, strict=False):
            layer.synchronise(weight.reshape(-1), bias)
        self.top.refresh(self.parameters)

    # ---- Forward -----------------------------------------------------------------------------------------------------

    def forward(self, entry: int, observations: Sequence[np.ndarray | None]) -> np.ndarray:
        """Observations are uint8, or scaled float32 [channels, height, width]; see `FastNetwork.forward`.

        The entries before this one belong to earlier observations.
        """
        pixels, last = self.pixels, self.convolutions[-1].rows
        pixels.counts[entry + 1] = pixels.counts[entry]
        for lane, observation in enumerate(observations):
            previous = self.previous[lane]
            now = previous if observation is None else observation
            if now.dtype != previous.dtype:
                previous = self.previous[lane] = now + 1  # different everywhere
            scale = self.spec.pixel_scale if now.dtype == np.uint8 else 1.0
            k.observe(entry, lane, now, previous, self.block, scale, pixels.index, self.latest,
                      pixels.counts, pixels.changed, pixels.values)  # fmt: skip
        for layer in self.convolutions:
            layer.forward(entry)
        bias = self.parameters[self.hidden_number + 1]
        k.dense(entry, last.changed, last.index, last.values, self.blocks, bias, self.sums, self.features)
        outputs: np.ndarray = self.outputs[entry]
        self.top.forward(entry, self.features[entry], outputs)
        return outputs

    # ---- Backward ----------------------------------------------------------------------------------------------------

    def backward(self, d_outputs: np.ndarray, gradient: Gradient, entry: int = 0) -> None:
        assert isinstance(gradient, FactoredGradient)
        n, entries, features = self.hidden_number, slice(entry, entry + len(d_outputs)), self.features
        gradient.begin(len(d_outputs) * self.lanes)
        hidden, now = gradient.factors[n], gradient.rows
        delta = hidden.delta[now]
        delta[...] = self.top.backward(d_outputs, flat(features[entries]), entries, gradient)
        k.rectify_gradient(delta, flat(features[entries]))
        gradient.parts[n + 1] += delta.sum(0)
        last = self.convolutions[-1]
        index = last.rows.index[entries]
        k.gather_states(index, last.rows.values, hidden.inputs[now])
        for layer in self.convolutions:
            layer.d_rows[layer.rows.used(entries)] = 0
        k.dense_backward(index, delta, self.blocks, last.d_rows)
        for i in reversed(range(len(self.convolutions))):
            d_below = self.convolutions[i - 1].d_rows if i else zeros(0, 0)
            weight, bias = gradient.parts[2 * i : 2 * i + 2]
            self.convolutions[i].backward(entries, d_below, weight.reshape(-1), bias)

    # ---- Update ------------------------------------------------------------------------------------------------------

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
        """The same; factored gradients are applied in one pass over θ, the statistics and θ'."""
        assert isinstance(gradient, FactoredGradient)
        if gradient.is_expanded:
            super().update(gradient, theta, optimizer, statistics, learning_rate, clip, step)
            return
        for part in gradient.unfactored:
            gradient.vector[part] *= clip
            optimizer.update(theta[part], gradient.vector[part], statistics[:, part], learning_rate, step)
            self.local[part] = theta[part]
        top, parameter = self.top, self.spec.parameter
        copies = [self.blocks, *((top.weight_x[None], top.weight_h[None]) if top.cells else ())]
        for (number, (delta, inputs)), copy in zip(gradient.factors.items(), copies, strict=True):
            weight, of_weight = parameter(theta, number), [parameter(vector, number) for vector in statistics]
            optimizer.update_outer(weight, delta, inputs, of_weight, copy, clip, learning_rate)
        self._refresh()
