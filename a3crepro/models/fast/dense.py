"""Fully connected layers, LSTM cells and heads without autograd, for observations that are vectors.

Nothing is to be saved here by what did not change; what is saved is autograd's own time, which for such small layers is
most of it. A rollout may be a whole episode: the weights' gradients are then products of large matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import gymnasium as gym
import numpy as np
from torch import nn

from a3crepro.common.serialization import PyTree
from a3crepro.mathematics.norm import l2_norm
from a3crepro.models.fast import kernels as k
from a3crepro.models.fast.network import Cells, flat, zeros
from a3crepro.networks._network import Separate, TorsoAndHeads
from a3crepro.optimizers._optimizer import Optimizer


@dataclass(frozen=True)
class PartSpec:
    """Rectified layers, perhaps LSTM cells, then linear heads."""

    units: tuple[int, ...]
    """Of the observation and of each hidden layer."""
    lstm: int
    """Cells, or 0."""
    heads: tuple[tuple[str, int], ...]
    """Name and width of each."""

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the parameters, in the order of `module.parameters()`."""
        found: list[tuple[int, ...]] = []
        for inputs, outputs in pairwise(self.units):
            found += [(outputs, inputs), (outputs,)]
        if self.lstm:
            gates = 4 * self.lstm
            found += [(gates, self.units[-1]), (gates, self.lstm), (gates,), (gates,)]
        for _, width in self.heads:
            found += [(width, self.lstm or self.units[-1]), (width,)]
        return found


@dataclass(frozen=True)
class DenseSpec:
    """Parts that share nothing but the observation."""

    parts: tuple[PartSpec, ...]

    @property
    def heads(self) -> tuple[tuple[str, int], ...]:
        """Name and width of each head, part by part."""
        return tuple(head for part in self.parts for head in part.heads)

    @property
    def lstm(self) -> int:
        """Cells of all parts."""
        return sum(part.lstm for part in self.parts)

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the parameters of all parts."""
        return [shape for part in self.parts for shape in part.shapes]

    @cached_property
    def bounds(self) -> list[int]:
        """Where each parameter begins in the flat vector, and where the last one ends."""
        return list(accumulate(map(prod, self.shapes), initial=0))


def dense_spec_of(module: nn.Module, observation_space: gym.spaces.Box) -> DenseSpec | None:
    """The spec of a module for such observations, or None where it is not made of such layers."""
    modules = list(module.parts) if isinstance(module, Separate) else [module]
    inputs = prod(observation_space.shape)
    parts = tuple(part for each in modules if (part := _part_of(each, inputs)))
    if observation_space.dtype != np.float32 or len(parts) < len(modules):
        return None
    spec = DenseSpec(parts)
    assert spec.shapes == [tuple(parameter.shape) for parameter in module.parameters()]
    return spec


def _part_of(module: nn.Module, inputs: int) -> PartSpec | None:
    layers: list[Any] = list(module.torso.children()) if isinstance(module, TorsoAndHeads) else []
    pairs = [layers[i : i + 2] for i in range(1, len(layers), 2)]
    known = [len(pair) == 2 and _has_bias(pair[0]) and isinstance(pair[1], nn.ReLU) for pair in pairs]
    if not pairs or not all(known) or not isinstance(layers[0], nn.Flatten):
        return None
    assert isinstance(module, TorsoAndHeads)
    named: list[tuple[str, Any]] = list(module.heads.named_children())
    return PartSpec(
        (inputs, *(int(linear.out_features) for linear, _ in pairs)),
        module.lstm.hidden_size if module.lstm is not None else 0,
        tuple((name, int(head.out_features)) for name, head in named),
    )


def _has_bias(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) and isinstance(layer.bias, nn.Parameter)


class DenseGradient:
    """A gradient as a flat vector."""

    def __init__(self, size: int) -> None:
        self.vector = zeros(size)

    def norm(self) -> float:
        """L2 norm."""
        return l2_norm(self.vector)

    def full(self) -> np.ndarray:
        """The vector, which is good until the next change."""
        return self.vector

    def clear(self) -> None:
        """Sets the gradient to 0."""
        self.vector[:] = 0

    def get_state(self) -> PyTree:
        """The vector."""
        return self.vector

    def set_state(self, state: PyTree) -> None:
        """Takes over what `get_state` told."""
        self.vector[:] = state


class Part:
    """One part at its place in the local vector, with the activations of a rollout.

    Args:
      spec: what it looks like.
      parameters: its own, as arrays in the order of `PartSpec.shapes`.
      entries: states whose activations are kept.
      lanes: actor-learners that act together.
    """

    def __init__(self, spec: PartSpec, parameters: list[np.ndarray], entries: int, lanes: int) -> None:
        self.spec, self.parameters = spec, parameters
        self.hidden = [zeros(entries, lanes, units) for units in spec.units[1:]]
        if spec.lstm:
            self.cells, self.bias = Cells(spec.lstm, entries, lanes), zeros(2, 4 * spec.lstm)
        width = sum(width for _, width in spec.heads)
        self.head_weight, self.head_bias = zeros(width, spec.lstm or spec.units[-1]), zeros(width)

    @property
    def first_cell(self) -> int:
        """The number of the first parameter behind the hidden layers."""
        return 2 * len(self.hidden)

    def heads(self) -> Iterator[tuple[int, slice]]:
        """The number of each head's weight among the parameters, and its columns of the outputs."""
        number, column = self.first_cell + (4 if self.spec.lstm else 0), 0
        for _, width in self.spec.heads:
            yield number, slice(column, column + width)
            number, column = number + 2, column + width

    def refresh(self) -> None:
        """Brings what the kernels take side by side up to date with the parameters."""
        for number, columns in self.heads():
            self.head_weight[columns], self.head_bias[columns] = self.parameters[number : number + 2]
        if self.spec.lstm:
            self.bias[:] = self.parameters[self.first_cell + 2 : self.first_cell + 4]

    def forward(self, entry: int, units: np.ndarray, outputs: np.ndarray) -> None:
        """From observations [lanes, n] to the outputs [lanes, width] of the entry."""
        for layer, rows in enumerate(self.hidden):
            weight, bias = self.parameters[2 * layer : 2 * layer + 2]
            k.rectified_linear(weight, units, bias, rows[entry])
            units = rows[entry]
        if self.spec.lstm:
            weight_x, weight_h = self.parameters[self.first_cell : self.first_cell + 2]
            units = self.cells.forward(entry, units, weight_x, weight_h, self.bias)
        k.linear(self.head_weight, units, self.head_bias, outputs)

    def backward(self, d_outputs: np.ndarray, inputs: np.ndarray, entries: slice, gradient: list[np.ndarray]) -> None:
        """Adds the gradients of the parameters for those of the outputs, [T, lanes, width]; inputs [T, lanes, n]."""
        last = self.hidden[-1][entries]
        units = self.cells.h_next[entries] if self.spec.lstm else last
        delta = np.ascontiguousarray(flat(d_outputs))
        for number, columns in self.heads():
            _add_linear(gradient, number, delta[:, columns], flat(units))
        delta = np.dot(delta, self.head_weight)
        if self.spec.lstm:
            delta = self._backward_in_time(delta.reshape(units.shape), entries, gradient)
        below = [inputs, *(rows[entries] for rows in self.hidden[:-1])]
        for layer in reversed(range(len(self.hidden))):
            k.rectify_gradient(delta, flat(self.hidden[layer][entries]))
            _add_linear(gradient, 2 * layer, delta, flat(below[layer]))
            if layer:
                delta = np.dot(delta, self.parameters[2 * layer])

    def _backward_in_time(self, d_h: np.ndarray, entries: slice, gradient: list[np.ndarray]) -> np.ndarray:
        n = self.first_cell
        weight_x, weight_h = self.parameters[n : n + 2]
        delta = self.cells.backward(entries, d_h, weight_h)
        gradient[n] += np.dot(delta.T, flat(self.hidden[-1][entries]))
        gradient[n + 1] += np.dot(delta.T, flat(self.cells.h[entries]))
        for bias in gradient[n + 2 : n + 4]:
            bias += delta.sum(0)
        d_units: np.ndarray = np.dot(delta, weight_x)
        return d_units


def _add_linear(gradient: list[np.ndarray], number: int, delta: np.ndarray, inputs: np.ndarray) -> None:
    """Adds the gradients of a linear layer's weight and bias, from those of its sums."""
    gradient[number] += np.dot(delta.T, inputs)
    gradient[number + 1] += delta.sum(0)


class DenseNetwork:
    """The same face as `FastNetwork`'s, for parts of fully connected layers.

    Args:
      spec: what it looks like.
      entries: states whose activations are kept.
      lanes: actor-learners that act together.
    """

    def __init__(self, spec: DenseSpec, entries: int, lanes: int = 1) -> None:
        self.spec, self.lanes = spec, lanes
        self.local = zeros(spec.bounds[-1])
        self.inputs = zeros(entries, lanes, spec.parts[0].units[0])
        self.outputs = zeros(entries, lanes, sum(width for _, width in spec.heads))
        self.parts = [
            Part(part, arrays, entries, lanes)
            for part, arrays in zip(spec.parts, self._by_parts(self.local), strict=True)
        ]
        edges = list(accumulate((len(part.head_bias) for part in self.parts), initial=0))
        self.columns = [slice(*edge) for edge in pairwise(edges)]
        self.answers = [zeros(lanes, len(part.head_bias)) for part in self.parts]

    def _by_parts(self, vector: np.ndarray) -> list[list[np.ndarray]]:
        """The parameters of each part, as views of a flat vector."""
        bounds = pairwise(self.spec.bounds)
        return [[vector[a:b].reshape(shape) for shape, (a, b) in zip(part.shapes, bounds, strict=False)]
                for part in self.spec.parts]  # fmt: skip

    def new_gradient(self, steps: int) -> DenseGradient:
        """Of 0, for however many states."""
        return DenseGradient(self.spec.bounds[-1])

    def synchronise(self, theta: np.ndarray) -> None:
        """θ' ← θ."""
        self.local[:] = theta
        for part in self.parts:
            part.refresh()

    def set_state(self, entry: int, lane: int, state: np.ndarray) -> None:
        """The recurrent state [2, cells] before a entry."""
        for part, (h, c) in zip(self.parts, self._states(state), strict=True):
            part.cells.h[entry, lane], part.cells.c[entry, lane] = h, c

    def _states(self, state: np.ndarray) -> Iterator[np.ndarray]:
        edges = accumulate((part.spec.lstm for part in self.parts), initial=0)
        return (state[:, a:b] for a, b in pairwise(edges))

    def state_after(self, entry: int, lane: int) -> np.ndarray:
        """The recurrent state [2, cells] after a entry."""
        state = np.empty((2, self.spec.lstm), np.float32)
        for part, (h, c) in zip(self.parts, self._states(state), strict=True):
            h[:], c[:] = part.cells.h_next[entry, lane], part.cells.c_next[entry, lane]
        return state

    def forward(self, entry: int, observations: Sequence[np.ndarray | None]) -> np.ndarray:
        """Outputs [lanes, width] for each lane's observation; of a lane with None they mean nothing."""
        for lane, observation in enumerate(observations):
            if observation is not None:
                self.inputs[entry, lane] = observation.reshape(-1)
        outputs: np.ndarray = self.outputs[entry]
        for part, columns, answer in zip(self.parts, self.columns, self.answers, strict=True):
            part.forward(entry, self.inputs[entry], answer)
            outputs[:, columns] = answer
        return outputs

    def backward(self, d_outputs: np.ndarray, gradient: DenseGradient, entry: int = 0) -> None:
        """Adds the gradient for ∂loss/∂outputs [T, lanes, width] of the T entries from this one on."""
        entries = slice(entry, entry + len(d_outputs))
        arrays = self._by_parts(gradient.vector)
        for part, columns, theirs in zip(self.parts, self.columns, arrays, strict=True):
            part.backward(d_outputs[:, :, columns], self.inputs[entries], entries, theirs)

    def update(
        self,
        gradient: DenseGradient,
        theta: np.ndarray,
        optimizer: Optimizer,
        statistics: np.ndarray,
        rate: float,
        scale: float,
        step: int,
    ) -> None:
        """One step of the optimizer on the shared θ with the gradient times `scale`, and θ' ← θ."""
        gradient.vector *= np.float32(scale)
        optimizer.update(theta, gradient.vector, statistics, rate, step)
        self.synchronise(theta)
