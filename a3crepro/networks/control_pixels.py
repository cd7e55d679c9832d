"""The network of §9 for pictures of a physical task."""

from __future__ import annotations

import gymnasium as gym
from torch import nn

from a3crepro.networks._network import Network, require_shape


class ControlPixels(Network):
    """Two convolutions without a nonlinearity or pooling, then LSTM cells (§9).

    The paper does not give the convolutions' sizes; these are the Atari network's (§8): 16 filters 8x8 with stride 4,
    32 filters 4x4 with stride 2.
    """

    @property
    def title(self) -> str:
        return self.name

    def torso(self, shape: tuple[int, ...]) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(shape[0], 16, 8, stride=4), nn.Conv2d(16, 32, 4, stride=2), nn.Flatten())

    def check(self, observation_space: gym.spaces.Box) -> None:
        require_shape(observation_space, (None, 84, 84), self.name)
