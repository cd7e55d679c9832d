"""The network of §9 for images of a physical task."""

from typing import ClassVar

from torch import nn

from a3crepro.networks._network import Network, PositionsFirst


class ControlPixels(Network):
    """Two convolutions without a nonlinearity or pooling, then LSTM cells (§9).

    The paper does not give the convolutions' sizes; these are the Atari network's (§8): 16 filters 8x8 with stride 4,
    32 filters 4x4 with stride 2.
    """

    observation_shape: ClassVar = (None, 84, 84)

    @property
    def title(self) -> str:
        return self.name

    def torso(self, shape: tuple[int, ...]) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(shape[0], 16, 8, stride=4), nn.Conv2d(16, 32, 4, stride=2), PositionsFirst())
