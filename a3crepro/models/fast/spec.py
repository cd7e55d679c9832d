"""What the fast path needs to know of a network, read off the `nn.Module` that defines it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import prod
from typing import Any

import gymnasium as gym
import numpy as np
from torch import nn

from a3crepro.networks._network import PositionsFirst, TorsoAndHeads


@dataclass(frozen=True)
class Spec:
    """A rectified torso of convolutions and one hidden layer, perhaps LSTM cells, then linear heads."""

    observation: tuple[int, int, int]
    """Channels, height, width."""
    convolutions: tuple[tuple[int, int, int], ...]
    """Filters, size and stride of each."""
    hidden: int
    heads: tuple[tuple[str, int], ...]
    """Name and width of each."""
    lstm: int
    """Cells, or 0."""
    scale: float
    """Factor of the observations."""

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the parameters, in the order of `module.parameters()`."""
        (channels, side, _), shapes = self.observation, list[tuple[int, ...]]()
        for out, size, stride in self.convolutions:
            shapes += [(out, channels, size, size), (out,)]
            channels, side = out, (side - size) // stride + 1
        shapes += [(self.hidden, channels * side * side), (self.hidden,)]
        if self.lstm:
            gates = 4 * self.lstm
            shapes += [(gates, self.hidden), (gates, self.lstm), (gates,), (gates,)]
        for _, width in self.heads:
            shapes += [(width, self.lstm or self.hidden), (width,)]
        return shapes

    @cached_property
    def bounds(self) -> list[int]:
        """Where each parameter begins in the flat vector, and where the last one ends."""
        return list(accumulate(map(prod, self.shapes), initial=0))

    @property
    def hidden_number(self) -> int:
        """Of the hidden layer's weight among the parameters."""
        return 2 * len(self.convolutions)

    def parameter(self, flat: np.ndarray, number: int) -> np.ndarray:
        """The part of a flat vector that belongs to one of the parameters."""
        return flat[self.bounds[number] : self.bounds[number + 1]]

    def between(self, numbers: list[int]) -> list[slice]:
        """The parts of a flat vector between these parameters."""
        edges = [0, *(self.bounds[j] for i in numbers for j in (i, i + 1)), self.bounds[-1]]
        return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]


def spec_of(module: nn.Module, observation_space: gym.spaces.Box) -> Spec | None:
    """The spec of a module for such observations, or None where the fast path has no such network."""
    shape = observation_space.shape
    if not isinstance(module, TorsoAndHeads) or len(shape) != 3 or shape[1] != shape[2]:
        return None
    if observation_space.dtype != np.uint8:
        return None
    layers: list[Any] = list(module.torso.children())
    if len(layers) < 5 or not isinstance(layers[-3], PositionsFirst) or not _is_rectified(layers[-2:], nn.Linear):
        return None
    pairs = [layers[i : i + 2] for i in range(0, len(layers) - 3, 2)]
    if not all(_is_rectified(pair, nn.Conv2d) and _is_plain(pair[0]) for pair in pairs):
        return None
    convolutions = tuple((pair[0].out_channels, pair[0].kernel_size[0], pair[0].stride[0]) for pair in pairs)
    _, size, stride = convolutions[0]
    if size % stride or shape[1] % stride:  # pictures are cut into blocks as large as the first stride
        return None
    named: list[tuple[str, Any]] = list(module.heads.named_children())
    heads = tuple((name, int(head.out_features)) for name, head in named)
    lstm = module.lstm.hidden_size if module.lstm is not None else 0
    spec = Spec((shape[0], shape[1], shape[2]), convolutions, layers[-2].out_features, heads, lstm, module.scale)
    assert spec.shapes == [tuple(parameter.shape) for parameter in module.parameters()]
    return spec


def _is_rectified(layers: list[nn.Module], kind: type[nn.Module]) -> bool:
    return len(layers) == 2 and isinstance(layers[0], kind) and isinstance(layers[1], nn.ReLU)


def _is_plain(layer: nn.Module) -> bool:
    """Square, without padding, dilation or groups, with a bias."""
    assert isinstance(layer, nn.Conv2d)
    return (
        layer.kernel_size[0] == layer.kernel_size[1]
        and layer.stride[0] == layer.stride[1]
        and layer.padding == (0, 0)
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.bias is not None
    )
