"""Reads the committed tables and selects from them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from a3crepro.common.errors import UserError
from a3crepro.experiments.experiment import HELD_OUT
from a3crepro.experiments.statistics import final_score

RESULTS = Path(__file__).resolve().parents[2] / "results"
"""The committed tables of this checkout."""
DIAGNOSTICS = "diagnostics.csv"
"""The table of policies and optimizers, in experiments run since it is recorded."""


def committed(*parts: str) -> Path:
    """A path below `RESULTS`; a `UserError` outside of a checkout, where there are no committed tables."""
    if not RESULTS.is_dir():
        raise UserError(f"{RESULTS} does not exist: committed tables, sweeps and analysis need a checkout")
    return RESULTS.joinpath(*parts)


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table of runs or scores. Columns of overridden keys are text, empty where a key is not overridden."""
    table = pd.read_csv(path)
    if keys := overridden(table):
        table[keys] = pd.read_csv(path, usecols=keys, dtype=str, keep_default_na=False)[keys]
    return table


def overridden(table: pd.DataFrame) -> list[str]:
    """Columns of configuration keys overridden by some run: those with a dot, such as `algo.t_max`."""
    return [column for column in table.columns if "." in column]


def short_commits(cells: pd.Series) -> list[str]:
    """The commits in a column, abbreviated; a run that was resumed with other code names several, with spaces."""
    return sorted({commit[:7] for cell in cells.dropna().astype(str) for commit in cell.split()})


def setting(table: pd.DataFrame, key: str) -> pd.Series:
    """The values of an overridden key; empty where a run does not override it."""
    return table[key].fillna("") if key in table else pd.Series("", table.index)


def stacked(table: pd.DataFrame, x: str, y: str = "score") -> tuple[np.ndarray, np.ndarray]:
    """Means of column `x` [points] and values of column `y` [runs, points], cut to the shortest run.

    Points are matched by order, since each run is evaluated a few frames after the requested one.
    """
    runs = [run.sort_values(x) for _, run in table.groupby("run")]
    length = min(len(run) for run in runs)
    along, values = (np.stack([run[key].to_numpy(float)[:length] for run in runs]) for key in (x, y))
    return along.mean(0), values


def final_scores(scores: pd.DataFrame) -> dict[str, float]:
    """The final score of each run that was evaluated, by name, from a table of scores, whose cells may be text."""
    evaluations = scores[scores["score_type"] != "training"]
    ordered = evaluations.assign(**{key: evaluations[key].astype(float) for key in ("frames", "score")})
    runs = ordered.sort_values("frames", kind="stable").groupby("run", sort=False)
    return {str(run): final_score(rows["score"].to_numpy()) for run, rows in runs}


def select(table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The rows with these column values."""
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def representative_runs(runs: pd.DataFrame, cell: list[str], best: int | None) -> pd.DataFrame:
    """The representative runs of each cell: its held-out seeds or, if it has none, the best runs, as in the paper.

    Args:
      runs: a table of runs.
      cell: the columns that define a cell.
      best: number of runs for a cell without held-out seeds; None for all.
    """
    held_out = runs["seed"] >= HELD_OUT
    seeded = held_out.groupby([runs[column] for column in cell]).transform("any")
    ranked = runs[~seeded].sort_values("score", ascending=False, kind="stable")
    return pd.concat([runs[held_out], ranked if best is None else ranked.groupby(cell).head(best)])
