"""What the script on stale gradients measures in a run."""

import pandas as pd
import pytest
import torch
from torch import nn

from analysis.stale_gradients import binned, inactive_shares, rows


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


def test_parts_are_means_over_equal_spans_of_frames():
    metrics = pd.DataFrame({"frames": [10, 50, 52, 100, 1004], "explained_variance": [1.0, 0.0, 0.4, 0.6, 0.9]})
    found = binned(metrics, 1004).set_index("part")  # a run goes a little beyond its budget of 1,000
    assert list(found.index) == [1, 2, 20] and list(found["frames"]) == [50, 100, 1004]
    assert list(found["explained_variance"]) == [0.5, 0.5, 0.9]


def test_every_seed_is_told():
    """Also where runs differ in their last frames."""
    common = {"method": "a3c", "threads": 4, "learning_rate": 0.002}
    curves = pd.concat([
        binned(pd.DataFrame({"frames": [500, frames], "explained_variance": [0.1, end]}), frames)
        .assign(seed=seed, **common)
        for seed, frames, end in ((0, 1000, 0.5), (1, 1004, 0.7))
    ])  # fmt: skip
    units = pd.DataFrame([{**common, "seed": seed, "layer_1": 0.25} for seed in (0, 1)])
    assert rows(curves, units) == [["A3C", "0.002", "4", "0.50, 0.70", "25, 25"]]
