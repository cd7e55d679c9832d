"""What figures and claims of continuous control have in common."""

from __future__ import annotations

import numpy as np
import pandas as pd

from a3crepro.experiments.experiment import FRESH
from a3crepro.experiments.figures import Ours, number, paper, references
from a3crepro.experiments.results import standing_for

MOST = 1000.0
"""The greatest possible score of a task."""
EPISODES = 10
"""Of an evaluation (`sweeps/mujoco.py`)."""
PAPERS, OTHERWISE = "the paper's", "whole episodes, else as rollouts"
"""How a run learnt; all of what belongs to each is in `sweeps/mujoco.py`."""
SEARCHED = "rollouts of 20, ε 1e-05"
"""Of the rollouts those that were run at all rates."""
SECOND = "rollouts of 20, entropy cost 0.03"
"""Of the second search, with ε 1e-5, too: longer, with a slowly falling rate and a cost that keeps the variance."""
THIRD = "separate networks, entropy cost 0.03"
"""Of the third search, else as in the second."""


def by_chance(task: str, column: str = "score_mean") -> float:
    """Mean score of the best of the blind policies, or its entry in another column; NaN where none was measured.

    They are a random one, constant actions, and constant actions with noise, as a Gaussian policy has it. Those that
    hold an action for several steps count where pictures are learnt from.
    """
    table = references(f"control/{task.removesuffix('_pixels')}")
    table = table if task.endswith("_pixels") else table[~table["command"].str.contains("action_repeat")]
    return float(table.loc[table["score_mean"].idxmax(), column]) if len(table) else float("nan")


def is_learnt(task: str, score: float) -> bool:
    """Three times a blind policy's score or a fifth of what that leaves to be gained; and no accident.

    Where reward is rare, a blind policy's mean over an evaluation's few episodes is often three times what it is over
    many: the score is to be four of its standard errors above that, too.
    """
    least, deviation = by_chance(task), by_chance(task, "score_std")
    far = min(2 * least, 0.2 * (MOST - least))
    return score > least + max(far, 4 * deviation / np.sqrt(EPISODES))


def control(mine: Ours) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs and evaluations with the task, how a run learnt, and the number of the search that its choice is of."""
    variant = mine.runs["variant"]
    whole = np.where(variant.str.contains("bounded"), OTHERWISE, PAPERS)
    length = variant.str.extract(r"t_max=(\d+)", expand=False)
    cost = variant.str.extract(r"entropy_cost=(\S+)", expand=False)
    epsilon = mine.runs["epsilon"].map("{:g}".format)
    scheme = ("rollouts of " + length + ", ε " + epsilon).fillna(pd.Series(whole, variant.index))
    separate = variant.str.contains("separate=true")
    held = variant.str.extract(r"action_repeat=(\d+)", expand=False)
    runs = mine.runs.assign(
        task=mine.runs["env"].str.removeprefix("control/"),
        scheme=("scaled pictures, actions of " + held + " steps")
        .fillna(("rollouts of " + length).mask(separate, "separate networks") + ", entropy cost " + cost)
        .fillna(scheme),
        search=np.select([separate | held.notna(), cost.notna()], [3, 2], 1),
    )
    return runs, mine.evaluations().merge(runs[["run", "task", "scheme", "budget"]], on="run")


def over_time(mine: Ours, runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that stand for a task: fresh seeds of the last search that has any; else its best, as in the paper."""
    fresh = runs[runs["seed"] >= FRESH]
    if fresh.empty:
        return standing_for(runs, ["task"], mine.notes["best"])
    return fresh[fresh["search"] == fresh.groupby("task")["search"].transform("max")]


def suite_score(task: str, printed: str = "1e8_steps") -> float:
    """The Control Suite's own A3C after 100M steps; NaN where it has none.

    `printed="planet"`: as the PlaNet paper has it, or, where it leaves a task out, the other copy. They are not one on
    `reacher_easy`.
    """
    table = paper("other_dm_control_a3c").set_index(["domain", "task"])
    copies = table[f"a3c_state_{printed}"].fillna(table["a3c_state_1e8_steps"])
    copies.index = copies.index.map("_".join)
    return float(copies.get(task, float("nan")))


def suite_scores(task: str) -> str:
    """Both copies of it, where they are not one."""
    one, other = suite_score(task), suite_score(task, "planet")
    return f"{one:.1f} or {other:.0f}" if abs(one - other) > 1 else number(one)
