"""What the script on stale gradients measures in a run."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from analysis.stale_gradients import binned, inactive_shares


class Rectified(nn.Module):
    """A filter that sees only bright pixels and one that sees all; two of the three units behind them never fire."""

    def __init__(self) -> None:
        super().__init__()
        filters, hidden = nn.Conv2d(1, 2, 1), nn.Linear(8, 3)
        with torch.no_grad():
            filters.weight[:] = 1.0
            filters.bias[:] = torch.tensor([-0.5, 0.0])
            hidden.weight[:] = 1.0
            hidden.bias[:] = torch.tensor([0.0, -100.0, -100.0])
        self.torso = nn.Sequential(filters, nn.ReLU(), nn.Flatten(), hidden, nn.ReLU())

    def scaled(self, observations: torch.Tensor) -> torch.Tensor:
        return observations


def test_a_unit_is_inactive_if_it_is_zero_everywhere_on_every_screen():
    dark, bright = torch.full((3, 1, 2, 2), 0.4), torch.full((3, 1, 2, 2), 0.4)
    bright[1, 0, 1, 1] = 0.6  # one pixel of one screen
    assert inactive_shares(Rectified(), dark) == {"layer_1": 0.5, "layer_2": pytest.approx(2 / 3)}
    assert inactive_shares(Rectified(), bright) == {"layer_1": 0.0, "layer_2": pytest.approx(2 / 3)}


def test_bins_are_means_over_equal_spans_of_frames():
    metrics = pd.DataFrame({"frames": [10, 50, 51, 100, 1000], "explained_variance": [1.0, 0.0, 0.4, 0.6, np.nan]})
    found = binned(metrics, 1000).set_index("frames")["explained_variance"]
    assert found[50] == 0.5 and found[100] == 0.5 and len(found) == 3  # 20 spans of 50 frames, 17 without a row
