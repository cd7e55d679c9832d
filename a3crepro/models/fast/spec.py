"""The layers of a network that the fast path supports, read off the `nn.Module` that defines it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from math import prod
from typing import Any, NamedTuple, cast

import gymnasium as gym
import numpy as np
from torch import nn

from a3crepro.models.fast.structs import MAX_DEPTH
from a3crepro.networks._network import PositionsFirst, Separate, TorsoAndHeads


class ConvolutionSpec(NamedTuple):
    """A square convolution without padding."""

    filters: int
    channels: int
    """Channels of its input."""
    size: int
    stride: int


@dataclass(frozen=True)
class PartSpec:
    """Optional convolutions, rectified linear layers, optional LSTM cells, then linear heads.

    With convolutions there is one linear layer, or none if there are cells.
    """

    units: tuple[int, ...]
    """Number of inputs of the first linear layer, or of the cells, then of the units of each layer."""
    lstm: int
    """Number of LSTM cells, or 0."""
    heads: tuple[tuple[str, int], ...]
    """Name and width of each head."""
    convolutions: tuple[ConvolutionSpec, ...] = ()
    rectified: bool = True
    """Whether each convolution is followed by a ReLU."""

    @property
    def cells_on_convolutions(self) -> bool:
        """Whether the linear layer above the convolutions is that of the cells, W_x x + b_x."""
        return len(self.convolutions) > 0 and len(self.units) == 1

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the parameters, in the order of `module.parameters()`."""
        shapes: list[tuple[int, ...]] = []
        for filters, channels, size, _ in self.convolutions:
            shapes += [(filters, channels, size, size), (filters,)]
        for inputs, outputs in pairwise(self.units):
            shapes += [(outputs, inputs), (outputs,)]
        if self.lstm:
            gates = 4 * self.lstm
            shapes += [(gates, self.units[-1]), (gates, self.lstm), (gates,), (gates,)]
        for _, width in self.heads:
            shapes += [(width, self.lstm or self.units[-1]), (width,)]
        return shapes


@dataclass(frozen=True)
class Spec:
    """Parts that share only the observation; all of them begin with convolutions, or none."""

    parts: tuple[PartSpec, ...]
    observation: tuple[int, ...]
    """Shape; with convolutions: channels, height, width."""
    pixel_scale: float = 1.0
    """Factor of uint8 observations."""

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the parameters, in the order of `module.parameters()`."""
        return [shape for part in self.parts for shape in part.shapes]

    @property
    def has_convolutions(self) -> bool:
        return len(self.parts[0].convolutions) > 0

    @cached_property
    def first_numbers(self) -> list[int]:
        """Number of the first parameter of each part."""
        return list(accumulate((len(part.shapes) for part in self.parts[:-1]), initial=0))

    @cached_property
    def bounds(self) -> list[int]:
        """Where each parameter begins in the flat vector, and where the last one ends."""
        return list(accumulate(map(prod, self.shapes), initial=0))

    @cached_property
    def row_bounds(self) -> list[int]:
        """Where the rows of each parameter begin among those of all (`row_sizes`), and where the last one ends."""
        return list(accumulate((shape[0] if len(shape) == 2 else 1 for shape in self.shapes), initial=0))

    @cached_property
    def columns(self) -> dict[str, slice]:
        """The columns of each head in the outputs [..., width]."""
        heads = [head for part in self.parts for head in part.heads]
        edges = pairwise(accumulate((width for _, width in heads), initial=0))
        return {name: slice(*edge) for (name, _), edge in zip(heads, edges, strict=True)}

    @property
    def lstm(self) -> int:
        """Number of LSTM cells of all parts."""
        return sum(part.lstm for part in self.parts)

    def parameter(self, vector: np.ndarray, number: int) -> np.ndarray:
        """The slice of a flat vector that holds parameter `number`."""
        return vector[self.bounds[number] : self.bounds[number + 1]]

    def views(self, vector: np.ndarray) -> list[np.ndarray]:
        """All parameters as views of a flat vector."""
        return [self.parameter(vector, number).reshape(shape) for number, shape in enumerate(self.shapes)]

    def matrix(self, vector: np.ndarray, number: int) -> np.ndarray:
        """Parameter `number`, a matrix, as a view of a flat vector."""
        return self.parameter(vector, number).reshape(self.shapes[number])

    def rows(self, number: int) -> slice:
        """The rows of parameter `number` among those of all parameters."""
        return slice(*self.row_bounds[number : number + 2])

    def slices_without(self, numbers: Iterable[int], bounds: Sequence[int] | None = None) -> list[slice]:
        """The slices of a flat vector (or, with its bounds, of another one) that hold all parameters but these."""
        bounds = bounds or self.bounds
        edges = [0, *(bounds[j] for i in sorted(numbers) for j in (i, i + 1)), bounds[-1]]
        return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]


def spec_of(module: nn.Module, observation_space: gym.spaces.Box) -> Spec | None:
    """The spec of a module for these observations; None if the fast path does not support them."""
    parts = list(module.parts) if type(module) is Separate else [module]
    known = [part for part in parts if type(part) is TorsoAndHeads]  # a subclass may have a `forward` of its own
    if len(known) < len(parts):
        return None
    spec = (_dense if observation_space.dtype == np.float32 else _convolutional)(known, observation_space)
    if spec is None or spec.shapes != [tuple(parameter.shape) for parameter in module.parameters()]:
        return None
    return spec


def _dense(modules: list[TorsoAndHeads], observation_space: gym.spaces.Box) -> Spec | None:
    parts = []
    for module in modules:
        layers = list(module.torso.children())
        if not layers or type(layers[0]) is not nn.Flatten or not _are_rectified(layers[1:], _is_linear):
            return None
        parts.append(_part(module, layers[1::2]))
    return Spec(tuple(parts), observation_space.shape)


def _convolutional(modules: list[TorsoAndHeads], observation_space: gym.spaces.Box) -> Spec | None:
    shape = observation_space.shape
    if observation_space.dtype != np.uint8 or len(shape) != 3 or shape[1] != shape[2]:
        return None
    parts = []
    for module in modules:
        if (part := _convolutional_part(module)) is None:
            return None
        _, _, size, stride = part.convolutions[0]
        if size % stride or shape[1] % stride:
            return None  # observations are cut into blocks of the size of the first stride
        parts.append(part)
    return Spec(tuple(parts), shape, modules[0].pixel_scale)


def _convolutional_part(module: TorsoAndHeads) -> PartSpec | None:
    layers: list[Any] = list(module.torso.children())
    middle = next((i for i, layer in enumerate(layers) if type(layer) is PositionsFirst), 0)
    below, above = layers[:middle], layers[middle + 1 :]
    rectified = _are_rectified(below, _is_plain_convolution)
    convolutions = below[::2] if rectified else below
    if not convolutions or not all(map(_is_plain_convolution, convolutions)) or len(convolutions) > MAX_DEPTH:
        return None
    one_hidden = len(above) == 2 and _are_rectified(above, _is_linear)
    if not one_hidden and (above or module.lstm is None):
        return None
    specs = [ConvolutionSpec(c.out_channels, c.in_channels, c.kernel_size[0], c.stride[0]) for c in convolutions]
    return replace(_part(module, above[:1]), convolutions=tuple(specs), rectified=rectified)


def _part(module: TorsoAndHeads, layers: Sequence[Any]) -> PartSpec:
    heads: list[tuple[str, Any]] = list(module.heads.named_children())
    inputs = layers[0].in_features if layers else cast("nn.LSTM", module.lstm).input_size
    return PartSpec(
        (inputs, *(layer.out_features for layer in layers)),
        module.lstm.hidden_size if module.lstm is not None else 0,
        tuple((name, head.out_features) for name, head in heads),
    )


def _are_rectified(layers: Sequence[nn.Module], is_known: Callable[[nn.Module], bool]) -> bool:
    """Whether these are one or more known layers, each followed by a ReLU."""
    rectified = len(layers) % 2 == 0 and all(type(layer) is nn.ReLU for layer in layers[1::2])
    return len(layers) > 0 and rectified and all(map(is_known, layers[::2]))


def _is_linear(layer: nn.Module) -> bool:
    return type(layer) is nn.Linear and isinstance(layer.bias, nn.Parameter)


def _is_plain_convolution(layer: nn.Module) -> bool:
    """Square, without padding, dilation or groups, with a bias."""
    return (
        type(layer) is nn.Conv2d
        and layer.kernel_size[0] == layer.kernel_size[1]
        and layer.stride[0] == layer.stride[1]
        and layer.padding == (0, 0)
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.bias is not None
    )
