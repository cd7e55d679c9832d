"""The network of "Playing Atari with Deep Reinforcement Learning" (Mnih et al. 2013), used in §8's experiments."""

from __future__ import annotations

import gymnasium as gym
from torch import nn

from a3crepro.networks._network import Network, PositionsFirst, require_shape


class Mnih2013(Network):
    """16 filters 8x8 with stride 4, 32 filters 4x4 with stride 2, 256 hidden units, rectified (§8)."""

    def torso(self, shape: tuple[int, ...]) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(shape[0], 16, 8, stride=4), nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2), nn.ReLU(),
            PositionsFirst(),
            nn.Linear(32 * 9 * 9, 256), nn.ReLU(),
        )  # fmt: skip

    def check(self, observation_space: gym.spaces.Box) -> None:
        require_shape(observation_space, (None, 84, 84), "mnih2013")
