"""What figures and claims of continuous control have in common."""

from __future__ import annotations

import numpy as np
import pandas as pd

from a3crepro.figures import Ours, paper

RANDOM = {
    "cartpole_balance": 356.1, "cartpole_swingup": 26.5, "pendulum_swingup": 0.5, "point_mass_easy": 7.3,
    "reacher_easy": 83.4, "cheetah_run": 3.9, "walker_stand": 129.5, "walker_walk": 32.1,
    "cartpole_balance_pixels": 356.1,
}  # fmt: skip
"""Mean scores of a random policy: `python -m a3crepro.evaluate env=control/… policy=random episodes=60 seed=0`."""


def control(mine: Ours) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs and evaluations with the task, and with the scheme of updates that a run had."""
    runs = mine.runs.assign(
        task=mine.runs["env"].str.removeprefix("control/"),
        scheme=np.where(mine.runs["variant"].str.contains("t_max"), "rollouts", "whole episodes"),
    )
    return runs, mine.evaluations().merge(runs[["run", "task", "scheme", "budget"]], on="run")


def suite_score(task: str) -> float:
    """The Control Suite's own A3C after 100M steps; NaN where it has none."""
    table = paper("other_dm_control_a3c")
    names = table["domain"] + "_" + table["task"]
    found = table.loc[names == task, "a3c_state_1e8_steps"]
    return float(found.iloc[0]) if len(found) else float("nan")
