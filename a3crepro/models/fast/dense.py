"""Fully connected layers, LSTM cells and heads without autograd, for observations that are vectors.

It saves the time of autograd itself, which dominates for layers this small. Rollouts may be whole episodes: the
gradients of weights are products of large matrices.
"""

from collections.abc import Sequence

import numpy as np

from a3crepro.models.fast import kernels as k
from a3crepro.models.fast.network import CellsAndHeads, FastNetwork, Gradient, flat, zeros
from a3crepro.models.fast.spec import PartSpec, Spec


class Part:
    """One part of the network, with the activations of each entry.

    Args:
      spec: its layers.
      network: of which it is a part.
      first: number of the part's first parameter.
      entries: number of cache entries.
      lanes: number of actor-learners that act together.
    """

    def __init__(self, spec: PartSpec, network: FastNetwork, first: int, entries: int, lanes: int) -> None:
        self.hidden = [zeros(entries, lanes, units) for units in spec.units[1:]]
        self.numbers = range(first, first + 2 * len(self.hidden), 2)
        self.parameters = [network.parameters[number : number + 2] for number in self.numbers]
        self.top = CellsAndHeads(spec, network.local, network.spec.bounds, first, entries, lanes)
        self.outputs = zeros(lanes, self.top.width)

    def forward(self, entry: int, units: np.ndarray) -> np.ndarray:
        """Outputs [lanes, width] for observations [lanes, n]."""
        for (weight, bias), rows in zip(self.parameters, self.hidden, strict=True):
            k.rectified_linear(weight, units, bias, rows[entry])
            units = rows[entry]
        k.top_forward(entry, self.top.top, units, self.outputs)
        return self.outputs

    def backward(self, d_outputs: np.ndarray, inputs: np.ndarray, entry: int, gradient: Gradient) -> None:
        """Adds the gradient for ∂loss/∂outputs [T, lanes, width]; inputs [entries, lanes, n]."""
        units = [flat(rows[entry : entry + len(d_outputs)]) for rows in (inputs, *self.hidden)]
        delta = np.empty_like(units[-1])
        self.top.backward(d_outputs, units[-1], entry, gradient, delta)
        for layer in reversed(range(len(self.hidden))):
            number = self.numbers[layer]
            k.rectify_gradient(delta, units[layer + 1], 0.0, gradient.parts[number + 1])
            gradient.add_product(number, delta, units[layer])
            if layer:
                delta = np.dot(delta, self.parameters[layer][0])


class DenseNetwork(FastNetwork):
    """Parts of fully connected layers."""

    def __init__(self, spec: Spec, entries: int, lanes: int = 1, theta: np.ndarray | None = None) -> None:
        super().__init__(spec, entries, lanes, theta)
        self.inputs = zeros(entries, lanes, spec.parts[0].units[0])
        firsts = spec.first_numbers
        self.parts = [Part(part, self, first, entries, lanes) for part, first in zip(spec.parts, firsts, strict=True)]
        self.tops = [part.top for part in self.parts]

    def synchronise(self, theta: np.ndarray, changed: np.ndarray | None = None) -> None:
        if not self.shares_theta:
            self.local[:] = theta
        for top in self.tops:
            k.copy_of_top(theta, top.top)

    def forward(self, entry: int, observations: Sequence[np.ndarray | None]) -> np.ndarray:
        for lane, observation in enumerate(observations):
            if observation is not None:
                self.inputs[entry, lane] = observation.reshape(-1)
        outputs: np.ndarray = self.outputs[entry]
        for part, columns in zip(self.parts, self.columns, strict=True):
            outputs[:, columns] = part.forward(entry, self.inputs[entry])
        return outputs

    @np.errstate(all="ignore")  # a gradient that is not finite shows in its norm
    def backward(self, d_outputs: np.ndarray, gradient: Gradient, entry: int = 0) -> None:
        for part, columns in zip(self.parts, self.columns, strict=True):
            part.backward(np.ascontiguousarray(d_outputs[:, :, columns]), self.inputs, entry, gradient)
