"""The network of "Playing Atari with Deep Reinforcement Learning" (Mnih et al. 2013), used in §8's experiments."""

from typing import ClassVar

from torch import nn

from a3crepro.networks._network import Network, PositionsFirst


class Mnih2013(Network):
    """16 filters 8x8 with stride 4, 32 filters 4x4 with stride 2, 256 hidden units, rectified (§8)."""

    observation_shape: ClassVar = (None, 84, 84)

    def torso(self, shape: tuple[int, ...]) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(shape[0], 16, 8, stride=4), nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2), nn.ReLU(),
            PositionsFirst(),
            nn.Linear(32 * 9 * 9, 256), nn.ReLU(),
        )  # fmt: skip
