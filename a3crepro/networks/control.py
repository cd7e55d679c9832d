"""The networks of §9 for physical states, and of the Control Suite's own A3C."""

from __future__ import annotations

import gymnasium as gym

from a3crepro.networks._network import require_shape
from a3crepro.networks.mlp import MLP


class Control(MLP):
    """Rectified hidden layers and perhaps LSTM cells.

    `control_lstm`: 200 units, then 128 LSTM cells, policy and value apart (§9). `control_mlp`: two layers of 256 units
    that policy and value share (Tassa et al. 2018, who searched 128 and 256 for the second).
    """

    @property
    def title(self) -> str:
        return "control_lstm" if self.lstm_cells else "control_mlp"

    def check(self, observation_space: gym.spaces.Box) -> None:
        require_shape(observation_space, (None,), self.title)
