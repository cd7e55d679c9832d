"""What all networks have in common: their face, Torch7's initialisation, and flat parameter vectors.

The face of a network is that of an `nn.Module` with two methods:

  forward(observations [T, ...], state) -> (outputs, state)
      `observations` follow one another in time; `outputs` maps the name of each head to a tensor [T, width];
      `state` is the recurrent state before the first observation, and after the last one, or None.
  initial_state() -> the recurrent state at the start of an episode, a tensor, or None without recurrence.

Any module of this face can be trained.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from a3crepro.common.config_model import ComponentConfig, Count


class Network(ComponentConfig, ABC):
    """Settings from which a network is built: a torso, LSTM cells behind it, a linear layer for each head.

    Heads share all of it, or the value has one of its own.
    """

    lstm_cells: Count
    """Number of LSTM cells behind the torso; 0: no recurrence."""
    separate: bool
    """Policy and value share nothing: each has a torso and LSTM cells of its own."""
    implementation: Literal["fast", "module"]
    """`fast`: without autograd where `a3crepro/models/fast` knows the network; `module`: always with autograd.

    The numbers are the same.
    """

    @property
    def title(self) -> str:
        """What a person calls it, e.g. `mnih2013_lstm`."""
        return self.name + ("_lstm" if self.lstm_cells else "")

    @abstractmethod
    def torso(self, shape: tuple[int, ...]) -> nn.Sequential:
        """The layers from observations of this shape, pictures scaled to [0, 1], to a vector of features."""

    def check(self, observation_space: gym.spaces.Box) -> None:
        """Raises ValueError, with what is needed, where the network cannot take such observations."""

    def build(self, observation_space: gym.spaces.Box, heads: Mapping[str, int]) -> nn.Module:
        """The network with a linear head of each name and width."""
        others = {name: width for name, width in heads.items() if name != "value"}
        value = {name: width for name, width in heads.items() if name == "value"}
        if self.separate and others and value:
            return Separate(self._part(observation_space, others), self._part(observation_space, value))
        return self._part(observation_space, heads)

    def _part(self, observation_space: gym.spaces.Box, heads: Mapping[str, int]) -> TorsoAndHeads:
        """Torso, cells and heads that share them."""
        pictures = observation_space.dtype == np.uint8
        scale = 1.0 / float(observation_space.high.max()) if pictures else 1.0
        torso = self.torso(observation_space.shape)
        with torch.no_grad():
            features = torso(torch.zeros(1, *observation_space.shape)).shape[-1]
        module = TorsoAndHeads(scale, torso, features, self.lstm_cells, heads)
        initialise_as_torch7(module)
        return module


class PositionsFirst(nn.Module):
    """Flattens [T, channels, height, width] position by position, the channels of a position side by side.

    Which input a weight of the next layer belongs to is a matter of naming; in this order the fast path can pass over
    positions at which nothing moved.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.movedim(1, -1).flatten(1)


class TorsoAndHeads(nn.Module):
    """Torso, LSTM cells, heads."""

    def __init__(
        self, scale: float, torso: nn.Module, features: int, lstm_cells: int, heads: Mapping[str, int]
    ) -> None:
        super().__init__()
        self.scale = scale
        self.torso = torso
        self.lstm = nn.LSTM(features, lstm_cells) if lstm_cells else None
        self.heads = nn.ModuleDict({name: nn.Linear(lstm_cells or features, width) for name, width in heads.items()})

    def initial_state(self) -> Tensor | None:
        """Zero activations h and cells c, [2, 1, cells]."""
        return None if self.lstm is None else torch.zeros(2, 1, self.lstm.hidden_size)

    def scaled(self, observations: Tensor) -> Tensor:
        """As float32, pictures in [0, 1]; what has been scaled stays as it is."""
        return observations if observations.is_floating_point() else observations.float().mul_(self.scale)

    def forward(self, observations: Tensor, state: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor | None]:
        features = self.torso(self.scaled(observations))
        if self.lstm is not None:
            assert state is not None
            features, (h, c) = self.lstm(features, (state[0], state[1]))
            state = torch.stack((h, c))
        return {name: head(features) for name, head in self.heads.items()}, state


class Separate(nn.Module):
    """Networks that share nothing, asked together: their recurrent states stand side by side."""

    def __init__(self, *parts: TorsoAndHeads) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def initial_state(self) -> Tensor | None:
        """Zero activations h and cells c, [2, 1, cells of all parts]."""
        states = [part.initial_state() for part in self.parts]  # type: ignore[operator]
        return None if states[0] is None else torch.cat(states, dim=-1)

    def forward(self, observations: Tensor, state: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor | None]:
        observations = self.parts[0].scaled(observations)  # type: ignore[operator] # once for all: it can be large
        states = [None] * len(self.parts) if state is None else state.chunk(len(self.parts), dim=-1)
        answers = [part(observations, before) for part, before in zip(self.parts, states, strict=True)]
        outputs = {name: output for outputs, _ in answers for name, output in outputs.items()}
        return outputs, None if state is None else torch.cat([after for _, after in answers], dim=-1)


@torch.no_grad()
def initialise_as_torch7(module: nn.Module) -> None:
    """Weights and biases uniform in ±1/√fan_in, Torch7's default (authors' e-mail).

    In an LSTM, fan_in is that of the product that a weight or bias belongs to: the inputs or the cells.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            fan_ins = {layer.weight: layer.weight[0].numel()}
            if layer.bias is not None:
                fan_ins[layer.bias] = layer.weight[0].numel()
        elif isinstance(layer, nn.LSTM):
            fan_ins = {
                parameter: layer.input_size if "_ih_" in name else layer.hidden_size
                for name, parameter in layer.named_parameters()
            }
        else:
            continue
        for parameter, fan_in in fan_ins.items():
            parameter.uniform_(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))


def seeded(network: Network, observation_space: gym.spaces.Box, heads: Mapping[str, int], seed: int) -> nn.Module:
    """A network whose initial parameters depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network.build(observation_space, heads)


# ---- Flat vectors ----------------------------------------------------------------------------------------------------


def parameter_count(module: nn.Module) -> int:
    """Length of the flat vector of all parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def flatten(module: nn.Module, out: Tensor) -> None:
    """Copies all parameters into the flat vector `out`, in the order of `module.parameters()`."""
    out.copy_(nn.utils.parameters_to_vector(module.parameters()).detach())


def view_as_parameters(module: nn.Module, parameters: Tensor, gradient: Tensor | None = None) -> None:
    """Makes the module's parameters, and their gradients if given, views of flat vectors.

    From then on, to write the vector is to write the module: nothing is bound anew, only written (a target network that
    is re-bound instead of written is a fault of well-known code).
    """
    start = 0
    for parameter in module.parameters():
        end = start + parameter.numel()
        parameter.data = parameters[start:end].view_as(parameter)
        if gradient is not None:
            parameter.grad = gradient[start:end].view_as(parameter)
        start = end
    assert start == parameters.numel()


def require_shape(observation_space: gym.spaces.Box, shape: tuple[int | None, ...], what: str) -> None:
    """Raises ValueError where observations are not of this shape; None stands for any size."""
    given = observation_space.shape
    fits = len(given) == len(shape) and all(b is None or a == b for a, b in zip(given, shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{what} takes observations of shape [{wanted}], this environment gives {list(given)}")
