"""The network of MinAtar (Young and Tian 2019)."""

from __future__ import annotations

import gymnasium as gym
from torch import nn

from a3crepro.networks._network import Network, PositionsFirst, require_shape


class MinAtarNetwork(Network):
    """16 filters 3x3 with stride 1, 128 hidden units, rectified."""

    def torso(self, shape: tuple[int, ...]) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(shape[0], 16, 3), nn.ReLU(),
            PositionsFirst(),
            nn.Linear(16 * 8 * 8, 128), nn.ReLU(),
        )  # fmt: skip

    def check(self, observation_space: gym.spaces.Box) -> None:
        require_shape(observation_space, (None, 10, 10), "minatar")
