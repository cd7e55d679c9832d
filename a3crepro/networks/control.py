"""The networks of §9 for physical states, and of the Control Suite's own A3C."""

from typing import ClassVar

from a3crepro.networks.mlp import MLP


class Control(MLP):
    """Rectified hidden layers and optional LSTM cells.

    `control_lstm`: 200 units, then 128 LSTM cells, policy and value separate (§9). `control_mlp`: two layers of 256
    units that policy and value share (Tassa et al. 2018, who searched 128 and 256 for the second).
    """

    observation_shape: ClassVar = (None,)

    @property
    def title(self) -> str:
        return "control_lstm" if self.lstm_cells else "control_mlp"
