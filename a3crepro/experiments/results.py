"""The committed tables, and parts of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from a3crepro.experiments.experiment import FRESH

RESULTS = Path(__file__).resolve().parents[2] / "results"
"""The committed tables of a checkout."""


def stacked(table: pd.DataFrame, x: str, y: str = "score") -> tuple[np.ndarray, np.ndarray]:
    """The mean of a column [points] and another one [runs, points] of a table's runs, up to the shortest one's end.

    Point by point in their order: runs are evaluated a few frames after what was asked for, each after others.
    """
    runs = [run.sort_values(x) for _, run in table.groupby("run")]
    length = min(len(run) for run in runs)
    along, values = (np.stack([run[key].to_numpy(float)[:length] for run in runs]) for key in (x, y))
    return along.mean(0), values


def select(table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The rows with these values in the columns of these names."""
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def standing_for(runs: pd.DataFrame, cell: list[str], best: int | None) -> pd.DataFrame:
    """The runs that stand for each cell: its fresh seeds, or, where it has none, the best ones, as in the paper.

    Args:
      runs: a table of runs.
      cell: the columns in which runs of a cell are equal.
      best: how many stand for a cell without fresh seeds; None: all.
    """
    fresh = runs["seed"] >= FRESH
    seeded = fresh.groupby([runs[column] for column in cell]).transform("any")
    ranked = runs[~seeded].sort_values("score", ascending=False, kind="stable")
    return pd.concat([runs[fresh], ranked if best is None else ranked.groupby(cell).head(best)])
