"""The network of "Human-level control through deep reinforcement learning" (Mnih et al. 2015), used in Tables 1, S3."""

from typing import ClassVar

from torch import nn

from a3crepro.networks._network import Network, PositionsFirst


class Mnih2015(Network):
    """32 filters 8x8/4, 64 filters 4x4/2, 64 filters 3x3/1, 512 hidden units, rectified (§5.1)."""

    observation_shape: ClassVar = (None, 84, 84)

    def torso(self, shape: tuple[int, ...]) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(shape[0], 32, 8, stride=4), nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2), nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=1), nn.ReLU(),
            PositionsFirst(),
            nn.Linear(64 * 7 * 7, 512), nn.ReLU(),
        )  # fmt: skip
