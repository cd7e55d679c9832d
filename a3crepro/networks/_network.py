"""What all networks share: their interface, Torch7's initialisation, and flat parameter vectors.

Any `nn.Module` with these two methods can be trained:

  forward(observations [T, ...], state) -> (outputs, state)
      `observations` are consecutive; `outputs` maps the name of each head to a tensor [T, width]; `state` is the
      recurrent state before the first observation, and after the last one, or None.

  initial_state() -> the recurrent state at the start of an episode: a tensor, or None without recurrence.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from a3crepro.common.config_model import ComponentConfig, Count


class Network(ComponentConfig, ABC):
    """Settings of a network: a torso, optional LSTM cells, and a linear head for each output."""

    observation_shape: ClassVar[tuple[int | None, ...] | None] = None
    """Shape of the observations that the network takes, with None for any size; None: any shape."""

    lstm_cells: Count
    """Number of LSTM cells behind the torso; 0: none."""
    separate: bool
    """Whether policy and value each have their own torso and LSTM cells."""
    implementation: Literal["fast", "module"]
    """`fast`: without autograd if `a3crepro/models/fast` supports the network, with the same results; `module`: with
    autograd."""

    @property
    def title(self) -> str:
        """The name for messages and tables, e.g. `mnih2013_lstm`."""
        return self.name + ("_lstm" if self.lstm_cells else "")

    @abstractmethod
    def torso(self, shape: tuple[int, ...]) -> nn.Sequential:
        """The layers from an observation of this shape, with images scaled to [0, 1], to a vector of features."""

    def check(self, observation_space: gym.spaces.Box) -> None:
        """Raises ValueError if the network does not take these observations."""
        given, wanted = observation_space.shape, self.observation_shape
        if wanted is None or (
            len(given) == len(wanted) and all(b in (None, a) for a, b in zip(given, wanted, strict=True))
        ):
            return
        sizes = ", ".join("any" if size is None else str(size) for size in wanted)
        raise ValueError(f"{self.title} takes observations of shape [{sizes}], this environment gives {list(given)}")

    def build(self, observation_space: gym.spaces.Box, heads: Mapping[str, int]) -> nn.Module:
        """The network, given the name and width of each head."""
        others = {name: width for name, width in heads.items() if name != "value"}
        value = {name: width for name, width in heads.items() if name == "value"}
        if self.separate and others and value:
            return Separate(self._part(observation_space, others), self._part(observation_space, value))
        return self._part(observation_space, heads)

    def _part(self, observation_space: gym.spaces.Box, heads: Mapping[str, int]) -> TorsoAndHeads:
        is_image = observation_space.dtype == np.uint8
        pixel_scale = 1.0 / float(observation_space.high.max()) if is_image else 1.0
        torso = self.torso(observation_space.shape)
        with torch.no_grad():
            features = torso(torch.zeros(1, *observation_space.shape)).shape[-1]
        module = TorsoAndHeads(pixel_scale, torso, features, self.lstm_cells, heads)
        initialise_as_torch7(module)
        return module


class PositionsFirst(nn.Module):
    """Flattens [T, channels, height, width] with channels last, so that the fast path can skip unchanged positions."""

    def forward(self, x: Tensor) -> Tensor:
        return x.movedim(1, -1).flatten(1)


class TorsoAndHeads(nn.Module):
    """A torso, optional LSTM cells, and linear heads."""

    def __init__(
        self, pixel_scale: float, torso: nn.Module, features: int, lstm_cells: int, heads: Mapping[str, int]
    ) -> None:
        super().__init__()
        self.pixel_scale = pixel_scale
        self.torso = torso
        self.lstm = nn.LSTM(features, lstm_cells) if lstm_cells else None
        self.heads = nn.ModuleDict({name: nn.Linear(lstm_cells or features, width) for name, width in heads.items()})

    def initial_state(self) -> Tensor | None:
        """Zeros for the activations h and cells c, [2, 1, cells]."""
        return None if self.lstm is None else torch.zeros(2, 1, self.lstm.hidden_size)

    def scaled(self, observations: Tensor) -> Tensor:
        """Observations as float32, with images scaled to [0, 1]."""
        return observations if observations.is_floating_point() else observations.float().mul_(self.pixel_scale)

    def forward(self, observations: Tensor, state: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor | None]:
        features = self.torso(self.scaled(observations))
        if self.lstm is not None:
            assert state is not None
            features, (h, c) = self.lstm(features, (state[0], state[1]))
            state = torch.stack((h, c))
        return {name: head(features) for name, head in self.heads.items()}, state


class Separate(nn.Module):
    """Networks that share only their input; their recurrent states are concatenated."""

    def __init__(self, *parts: TorsoAndHeads) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def initial_state(self) -> Tensor | None:
        """Zeros for h and c, [2, 1, cells of all parts]."""
        states = [part.initial_state() for part in self.parts]  # type: ignore[operator]
        return None if states[0] is None else torch.cat(states, dim=-1)

    def forward(self, observations: Tensor, state: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor | None]:
        observations = self.parts[0].scaled(observations)  # type: ignore[operator] # once, as they can be large
        states = [None] * len(self.parts) if state is None else state.chunk(len(self.parts), dim=-1)
        results = [part(observations, before) for part, before in zip(self.parts, states, strict=True)]
        outputs = {name: output for outputs, _ in results for name, output in outputs.items()}
        return outputs, None if state is None else torch.cat([after for _, after in results], dim=-1)


@torch.no_grad()
def initialise_as_torch7(module: nn.Module) -> None:
    """Draws weights and biases uniformly from ±1/√fan_in, Torch7's default (authors' e-mail).

    In an LSTM, fan_in is the number of inputs, or of cells for the recurrent weights and their biases.
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
    """A network whose initial parameters depend only on the seed; leaves PyTorch's random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network.build(observation_space, heads)


# ---- Flat vectors ----------------------------------------------------------------------------------------------------


def parameter_count(module: nn.Module) -> int:
    """Number of parameters: the length of their flat vector."""
    return sum(parameter.numel() for parameter in module.parameters())


def row_sizes(module: nn.Module) -> list[int]:
    """Lengths of the rows of the flat vector: those of each matrix; any other parameter is one row."""
    sizes: list[int] = []
    for parameter in module.parameters():
        rows = len(parameter) if parameter.ndim == 2 else 1
        sizes += [parameter.numel() // rows] * rows
    return sizes


def flatten(module: nn.Module, out: Tensor) -> None:
    """Copies all parameters into the flat vector `out`, in the order of `module.parameters()`."""
    out.copy_(nn.utils.parameters_to_vector(module.parameters()).detach())


def view_as_parameters(module: nn.Module, parameters: Tensor, gradient: Tensor | None = None) -> None:
    """Makes the parameters of a module, and their gradients if given, views of flat vectors.

    Writing to a vector then writes to the module; nothing is ever rebound, which well-known code gets wrong for target
    networks.
    """
    start = 0
    for parameter in module.parameters():
        end = start + parameter.numel()
        parameter.data = parameters[start:end].view_as(parameter)
        if gradient is not None:
            parameter.grad = gradient[start:end].view_as(parameter)
        start = end
    assert start == parameters.numel()
