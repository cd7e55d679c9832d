"""What figures and claims of continuous control have in common."""

from __future__ import annotations

import numpy as np
import pandas as pd

from a3crepro.experiments.experiment import HELD_OUT
from a3crepro.experiments.figures import Results, number, paper, references
from a3crepro.experiments.results import representative_runs, setting

MAX_SCORE = 1000.0
"""The greatest possible score of a task."""
EPISODES = 10
"""Of an evaluation (`sweeps/physical_tasks.py`)."""
PAPERS, OTHERWISE = "the paper's", "whole episodes, else as rollouts"
"""How a run learnt; all of what belongs to each is in `sweeps/physical_tasks.py`."""
SEARCHED = "rollouts of 20, ε 1e-05"
"""Of the rollouts those that were run at all rates."""
SECOND = "rollouts of 20, entropy cost 0.03"
"""Of the second search, with ε 1e-5, too: longer, with a slowly falling rate and a cost that keeps the variance."""
THIRD = "separate networks, entropy cost 0.03"
"""Of the third search, else as in the second."""


PANELS = {
    "cartpole_balance": "Cartpole", "cartpole_swingup": "Cartpole", "pendulum_swingup": "Pendulum",
    "point_mass_easy": "Pointmass 2D", "reacher_easy": "Reacher", "reacher_hard": "Reacher", "cheetah_run": "Cheetah",
    "walker_stand": "Walker 2D", "walker_walk": "Walker 2D", "hopper_hop": "Hopper",
    "manipulator_bring_ball": "Gripper", "cartpole_swingup_pixels": "–", "cheetah_run_pixels": "–",
    "pendulum_swingup_pixels": "Pendulum RGB", "point_mass_easy_pixels": "Pointmass2D RGB",
    "manipulator_bring_ball_pixels": "Gripper RGB",
}  # fmt: skip
"""Tasks, each with the paper's panel of which it is a descendant."""
PIXELS = {f"{task}_pixels": task for task in PANELS if f"{task}_pixels" in PANELS}
"""Tasks from pixels, each with the same task from its state."""
TASKS = {f"control/{task}": task for task in PANELS}
"""By the choice of `env`."""


def by_chance(task: str, column: str = "score_mean") -> float:
    """Mean score of the best of the blind policies, or its entry in another column; NaN where none was measured.

    They are a random one, constant actions, and constant actions with noise, as a Gaussian policy has it. Those that
    hold an action for several steps count where pictures are learnt from.
    """
    table = references(f"control/{PIXELS.get(task, task)}")
    table = table if task in PIXELS else table[table["env.action_repeat"].isna()]
    return float(table.loc[table["score_mean"].idxmax(), column]) if len(table) else float("nan")


def is_learnt(task: str, score: float) -> bool:
    """Three times a blind policy's score or a fifth of what that leaves to be gained; and no accident.

    Where reward is rare, a blind policy's mean over an evaluation's few episodes is often three times what it is over
    many: the score is to be four of its standard errors above that, too.
    """
    least, deviation = by_chance(task), by_chance(task, "score_std")
    far = min(2 * least, 0.2 * (MAX_SCORE - least))
    return score > least + max(far, 4 * deviation / np.sqrt(EPISODES))


def control(results: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs and evaluations with the task, how a run learnt, and the number of the search that its choice is of."""
    length, cost, held = (
        setting(results.runs, key) for key in ("algo.t_max", "algo.gaussian.entropy_cost", "env.action_repeat")
    )
    separate = setting(results.runs, "network.separate") == "true"
    rollouts = "rollouts of " + length
    scheme = np.select(
        [held != "", cost != "", length != "", setting(results.runs, "algo.gaussian.bounded") == "true"],
        [
            "scaled pictures, actions of " + held + " steps",
            rollouts.mask(separate, "separate networks") + ", entropy cost " + cost,
            rollouts + ", ε " + results.runs["epsilon"].map("{:g}".format),
            OTHERWISE,
        ],
        PAPERS,
    )
    search = np.select([separate | (held != ""), cost != ""], [3, 2], 1)
    runs = results.runs.assign(task=results.runs["env"].map(TASKS), scheme=scheme, search=search)
    return runs, results.evaluations().merge(runs[["run", "task", "scheme", "budget"]], on="run")


def over_time(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that stand for a task: fresh seeds of the last search that has any; else its best, as in the paper."""
    fresh = runs[runs["seed"] >= HELD_OUT]
    if fresh.empty:
        return representative_runs(runs, ["task"], results.notes["best"])
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
