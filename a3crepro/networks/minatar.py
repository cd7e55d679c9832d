"""The network of MinAtar (Young and Tian 2019)."""

from typing import ClassVar

from torch import nn

from a3crepro.networks._network import Network, PositionsFirst


class MinAtarNetwork(Network):
    """16 filters 3x3 with stride 1, 128 hidden units, rectified."""

    observation_shape: ClassVar = (None, 10, 10)

    def torso(self, shape: tuple[int, ...]) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(shape[0], 16, 3), nn.ReLU(),
            PositionsFirst(),
            nn.Linear(16 * 8 * 8, 128), nn.ReLU(),
        )  # fmt: skip
