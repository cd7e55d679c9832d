"""Convolutions, one hidden layer, LSTM cells and heads without autograd.

θ' does not change within a rollout and successive frames barely differ, so only what changed is computed: a convolution
stores one row for each *distinct* patch of its input, and the hidden layer adds to its last pre-activations the
contribution of the positions that changed. The gradients of large weights have rank T and stay factored: their norm
comes from Gram matrices, and clipping, the optimizer's update and θ' ← θ are one pass that never materialises them.

Notation: an *entry* holds the activations of one observation (of each lane), a *row* those of one distinct patch.
Arrays end in channels.
"""

import math
from collections.abc import Sequence
from itertools import count
from math import prod
from typing import NamedTuple

import numpy as np

from a3crepro.common.serialization import PyTree
from a3crepro.mathematics.norm import l2_norm
from a3crepro.models.fast import kernels as k
from a3crepro.models.fast.network import CellsAndHeads, FastNetwork, Gradient, flat, zeros
from a3crepro.models.fast.spec import PartSpec, Spec
from a3crepro.models.fast.structs import MAX_DEPTH, Convolution, Pixels, Rows, Torso
from a3crepro.optimizers._optimizer import LargeWeight, Optimizer, OptimizerState, Step, apply_deferred_decay

UINT8 = np.dtype(np.uint8)
LOWEST = float(np.finfo(np.float32).min)
"""The lowest output of a layer that is not rectified."""
MIN_OUTER_ROWS = 5
"""Minimum number of rows of the factors that `Optimizer.update_outer` takes."""
MAX_FACTORED_STATES = 10
"""Maximum number of states for which a factored gradient is faster than its product."""


def new_rows(side: int, channels: int, entries: int, lanes: int) -> Rows:
    """Rows of a layer with side² positions."""
    positions = lanes * side * side
    values, d_values = zeros(entries * positions, channels), zeros(entries * positions, channels)
    index, counts = np.zeros((entries, positions), np.int32), np.zeros(entries + 1, np.int32)
    changed = np.zeros((lanes * side, side), np.uint8)
    return Rows(row_of=index, counts=counts, changed=changed, values=values, d_values=d_values)


def new_convolution(
    below: Rows, shape: tuple[int, ...], stride: int, block: int, start: int, lowest: float
) -> Convolution:
    """A convolution over the rows of the layer below.

    Args:
      below: these rows. If they hold blocks of pixels [channels, block, block], size and stride count blocks.
      shape: of the weight.
      stride: in pixels, or in positions of the layer below.
      block: width of the blocks, or 1.
      start: where the flat parameters have the weight.
      lowest: the lowest output.
    """
    out, channels = shape[:2]
    size, stride, (entries, positions) = shape[2] // block, stride // block, below.row_of.shape
    side = (below.changed.shape[1] - size) // stride + 1
    rows = new_rows(side, out, entries, positions // below.changed.shape[1] ** 2)
    n, width = len(rows.values), prod(shape[1:])
    # order[i]: the index in PyTorch's weight of element i of this one, [out, y, x, in, y in block, x in block]
    places = np.arange(prod(shape), dtype=np.int32).reshape(out, channels, size, block, size, block)
    return Convolution(
        below=below, rows=rows, weight=zeros(out, width), bias=zeros(out), start=start,
        order=places.transpose(0, 2, 4, 1, 3, 5).ravel(), source=np.zeros((n, size * size), np.int32),
        patches=zeros(n, width), d_patches=zeros(n, width), d_weight=zeros(out, width), size=size, stride=stride,
        lowest=lowest,
    )  # fmt: skip


def large_weights(spec: Spec) -> list[int]:
    """Numbers of the weights of hidden layers and of LSTM cells, whose gradients are factored."""
    numbers: list[int] = []
    for part, first in zip(spec.parts, spec.first_numbers, strict=True):
        linear = first + 2 * len(part.convolutions)
        cells = linear + 2 * (len(part.units) - 1)
        numbers += sorted({linear, *((cells, cells + 1) if part.lstm else ())})
    return numbers


class Factors(NamedTuple):
    """The gradient deltaᵀ inputs of a large weight; unused rows are 0."""

    delta: np.ndarray
    inputs: np.ndarray


class FactoredGradient(Gradient):
    """A gradient of up to `steps` states, in which those of large weights stay factored as long as possible."""

    def __init__(self, spec: Spec, steps: int) -> None:
        super().__init__(spec)  # memory that is never written is never allocated
        weights, rows = large_weights(spec), max(steps, MIN_OUTER_ROWS)
        self.factors = {i: Factors(zeros(rows, spec.shapes[i][0]), zeros(rows, spec.shapes[i][1])) for i in weights}
        self.spec, self.steps, self.rows = spec, 0, slice(0)
        parts = spec.slices_without(weights)
        self.edges = np.array([(part.start, part.stop) for part in parts])
        self.small = [self.vector[part] for part in parts]
        """The gradients of all other parameters."""
        self.is_expanded = False

    def begin(self, states: int) -> None:
        """Makes room for the factors of the next `states` states, at `rows`."""
        self.rows = slice(self.steps, self.steps + states)
        self.steps = self.rows.stop

    def add_product(self, number: int, delta: np.ndarray, inputs: np.ndarray) -> None:
        factors = self.factors[number]
        factors.delta[self.rows], factors.inputs[self.rows] = delta, inputs

    def expand(self) -> None:
        """Writes the products of the factors to the vector."""
        for number, (delta, inputs) in self.factors.items():
            np.dot(delta[: self.steps].T, inputs[: self.steps], out=self.parts[number])
        self.is_expanded = True

    def norm(self) -> float:
        total: float
        if self.steps > MAX_FACTORED_STATES:
            self.expand()
            total = k.square_norm(self.vector, np.array([(0, len(self.vector))]))
            return math.sqrt(total) if math.isfinite(total) else l2_norm(self.vector)
        total = k.square_norm(self.vector, self.edges)
        for delta, inputs in self.factors.values():
            square = k.outer_square_norm(delta[: self.steps], inputs[: self.steps])
            total += 0.0 if square < 0 else square  # a rounding error, if factors cancel; NaN stays NaN
        return math.sqrt(total) if math.isfinite(total) else l2_norm(self.full())  # squares overflow float32

    def full(self) -> np.ndarray:
        if self.steps > MAX_FACTORED_STATES:
            self.expand()
            return self.vector
        full: np.ndarray = np.array(self.vector)
        for number, (delta, inputs) in self.factors.items():
            k.add_outer(delta[: self.steps], inputs[: self.steps], self.spec.parameter(full, number))
        return full

    def clear(self) -> None:
        for part in [self.vector] if self.is_expanded else self.small:
            part.fill(0)
        self.is_expanded = False
        for delta, inputs in self.factors.values():
            delta.fill(0)
            inputs[: self.steps].fill(0)  # also what is not finite: its product with 0 would not be 0
        self.steps = 0

    def get_state(self) -> PyTree:
        factors = [(delta, inputs[: self.steps]) for delta, inputs in self.factors.values()]
        return {"steps": self.steps, "small": self.small, "factors": factors}

    def set_state(self, state: PyTree) -> None:
        self.steps = state["steps"]
        for part, values in zip(self.small, state["small"], strict=True):
            part[:] = values
        for factors, (delta, inputs) in zip(self.factors.values(), state["factors"], strict=True):
            factors.delta[:], factors.inputs[: self.steps] = delta, inputs


class Part:
    """Convolutions, a linear layer, LSTM cells and heads; the linear layer may be that of the cells, W_x x + b_x.

    Args:
      spec: its layers.
      network: of which it is a part.
      first: number of the part's first parameter.
      pixels: the observations.
      outputs: where it writes its outputs, [entries, lanes, width].
    """

    def __init__(self, spec: PartSpec, network: FastNetwork, first: int, pixels: Pixels, outputs: np.ndarray) -> None:
        bounds, entries, lanes = network.spec.bounds, *outputs.shape[:2]
        self.linear, self.outputs = first + 2 * len(spec.convolutions), outputs
        self.convolutions = self._build_convolutions(spec, network, first, pixels)
        unused = [self.convolutions[-1]] * (MAX_DEPTH - len(self.convolutions))
        weight, bias = network.parameters[self.linear], self.linear + (2 if spec.cells_on_convolutions else 1)
        units = len(weight)
        self.torso = Torso(
            pixels=pixels, convolutions=(*self.convolutions, *unused), depth=len(self.convolutions),
            weight=weight, bias=zeros(units), start=bounds[bias], sums=zeros(entries, lanes, units),
            features=zeros(entries, lanes, units), lowest=LOWEST if spec.cells_on_convolutions else 0.0,
        )  # fmt: skip
        self.features = self.torso.features
        self.top = CellsAndHeads(spec, network.local, bounds, first, entries, lanes)

    def _build_convolutions(
        self, spec: PartSpec, network: FastNetwork, first: int, pixels: Pixels
    ) -> list[Convolution]:
        shapes, bounds, lowest = network.spec.shapes, network.spec.bounds, 0.0 if spec.rectified else LOWEST
        below, block, convolutions = pixels.rows, pixels.block, list[Convolution]()
        for number, layer in zip(count(first, 2), spec.convolutions, strict=False):
            convolutions.append(new_convolution(below, shapes[number], layer.stride, block, bounds[number], lowest))
            below, block = convolutions[-1].rows, 1
        return convolutions

    def backward(self, d_outputs: np.ndarray, gradient: FactoredGradient, entry: int) -> None:
        """Adds the gradient for ∂loss/∂outputs [T, lanes, width] of T entries from `entry` on."""
        steps, linear = len(d_outputs), gradient.factors[self.linear]
        delta, inputs = linear.delta[gradient.rows], linear.inputs[gradient.rows]
        self.top.backward(d_outputs, flat(self.features[entry : entry + steps]), entry, gradient, delta)
        k.torso_backward(entry, steps, self.torso, delta, inputs, gradient.vector)


class ConvolutionalNetwork(FastNetwork):
    """Parts that begin with convolutions; entry 0 is computed as a whole, later ones from changes."""

    def __init__(self, spec: Spec, entries: int, lanes: int = 1, theta: np.ndarray | None = None) -> None:
        super().__init__(spec, entries, lanes, theta)
        channels, height, _ = spec.observation
        block = spec.parts[0].convolutions[0].stride
        below = new_rows(height // block, channels * block * block, entries, lanes)
        self.pixels = Pixels(rows=below, latest=np.arange(below.row_of.shape[1], dtype=np.int32), block=block)
        self.previous = [np.zeros(spec.observation, np.uint8) for _ in range(lanes)]
        self.parts = [
            Part(part, self, first, self.pixels, self._outputs_of(columns))
            for part, first, columns in zip(spec.parts, spec.first_numbers, self.columns, strict=True)
        ]
        self.tops = [part.top for part in self.parts]
        self.large = large_weights(spec)
        self.small_rows = np.concatenate(
            [np.arange(rows.start, rows.stop) for rows in spec.slices_without(self.large, spec.row_bounds)]
        )
        self._views: dict[int, tuple[OptimizerState, dict[int, LargeWeight]]] = {}

    def _outputs_of(self, columns: slice) -> np.ndarray:
        """Those of a part: its own, unless there is only one."""
        return self.outputs if len(self.columns) == 1 else np.zeros_like(self.outputs[..., columns])

    def new_gradient(self, steps: int) -> FactoredGradient:
        return FactoredGradient(self.spec, steps)

    # ---- Parameters --------------------------------------------------------------------------------------------------

    def synchronise(self, theta: np.ndarray, changed: np.ndarray | None = None) -> None:
        changed = np.ones(self.spec.row_bounds[-1], np.bool_) if changed is None else changed
        for number in () if self.shares_theta else self.large:
            k.copy_rows(self.spec.matrix(theta, number), changed[self.spec.rows(number)], self.parameters[number])
        self._copy_small(theta)

    def _copy_small(self, theta: np.ndarray) -> None:
        for part in self.parts:
            k.copy_small(theta, part.torso, part.top.top)

    # ---- Forward -----------------------------------------------------------------------------------------------------

    def forward(self, entry: int, observations: Sequence[np.ndarray | None]) -> np.ndarray:
        """Observations are uint8, or scaled float32 [channels, height, width]; see `FastNetwork.forward`.

        The entries before this one belong to earlier observations.
        """
        for lane, observation in enumerate(observations):
            previous = self.previous[lane]
            now = previous if observation is None else observation
            if now.dtype != previous.dtype:
                previous = self.previous[lane] = now + 1  # different everywhere
            scale = self.spec.pixel_scale if now.dtype == UINT8 else 1.0
            k.observe(entry, lane, now, previous, scale, self.pixels)
        outputs: np.ndarray = self.outputs[entry]
        for part, columns in zip(self.parts, self.columns, strict=True):
            k.forward(entry, part.torso, part.top.top, part.outputs)
            if len(self.parts) > 1:
                outputs[:, columns] = part.outputs[entry]
        return outputs

    # ---- Backward ----------------------------------------------------------------------------------------------------

    def backward(self, d_outputs: np.ndarray, gradient: Gradient, entry: int = 0) -> None:
        assert isinstance(gradient, FactoredGradient)
        gradient.begin(len(d_outputs) * self.lanes)
        for part, columns in zip(self.parts, self.columns, strict=True):
            part.backward(np.ascontiguousarray(d_outputs[..., columns]), gradient, entry)

    # ---- Update ------------------------------------------------------------------------------------------------------

    def update(
        self,
        gradient: Gradient,
        theta: np.ndarray,
        optimizer: Optimizer,
        state: OptimizerState,
        step: Step,
        writes: np.ndarray,
    ) -> None:
        """Updates as in the base class; factored gradients are applied in one pass over θ, the statistics and θ'."""
        assert isinstance(gradient, FactoredGradient)
        large_weights = self._large_weights(theta, state, writes)
        if gradient.is_expanded:
            for large in large_weights.values():
                apply_deferred_decay(large)
            super().update(gradient, theta, optimizer, state, step, writes)
            return
        optimizer.update_slices(theta, gradient.vector, state.statistics, gradient.edges, step)
        if not self.shares_theta:
            writes[self.small_rows] += 1
        for number, large in large_weights.items():
            optimizer.update_outer(large, *gradient.factors[number], step)
        self._copy_small(theta)

    def _large_weights(self, theta: np.ndarray, state: OptimizerState, writes: np.ndarray) -> dict[int, LargeWeight]:
        """Large weights by number. They are kept for each state: making the views takes as long as a kernel."""
        known, views = self._views.get(id(state), (None, {}))
        if known is not state:
            spec, views = self.spec, {}
            for number in self.large:
                statistics, rows = [spec.matrix(vector, number) for vector in state.statistics], spec.rows(number)
                weight, copy = spec.matrix(theta, number), None if self.shares_theta else self.parameters[number]
                views[number] = LargeWeight(weight, statistics, state.decay[rows], copy, writes[rows])
            self._views[id(state)] = state, views
        return views
