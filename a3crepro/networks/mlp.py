"""Fully connected layers, for observations that are not images."""

import math
from itertools import pairwise

from torch import nn

from a3crepro.common.config_model import PositiveCount
from a3crepro.networks._network import Network


class MLP(Network):
    """Rectified hidden layers on the flattened observation."""

    hidden: list[PositiveCount]
    """Units of each hidden layer."""

    def torso(self, shape: tuple[int, ...]) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, units in pairwise([math.prod(shape), *self.hidden]):
            layers += [nn.Linear(inputs, units), nn.ReLU()]
        return nn.Sequential(*layers)
