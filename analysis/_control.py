"""Shared parts of the figures and claims on continuous control."""

from __future__ import annotations

import numpy as np
import pandas as pd

from a3crepro.experiments.experiment import HELD_OUT
from a3crepro.experiments.figures import Results, number, paper, references
from a3crepro.experiments.results import representative_runs, setting

MAX_SCORE = 1000.0
"""Maximum score of a task."""
EPISODES = 10
"""Episodes per evaluation (`sweeps/physical_tasks.py`)."""
PAPERS, OTHERWISE = "the paper's", "whole episodes, else as rollouts"
"""Names of two ways to learn; `sweeps/physical_tasks.py` has their settings."""
SEARCHED = "rollouts of 20, ε 1e-05"
"""The rollouts that were run at all rates."""
SECOND = "rollouts of 20, entropy cost 0.03"
"""The second search, also with ε = 1e-5: longer, with slow annealing and an entropy cost that keeps the variance up."""
THIRD = "separate networks, entropy cost 0.03"
"""The third search, otherwise as the second."""


PANELS = {
    "cartpole_balance": "Cartpole", "cartpole_swingup": "Cartpole", "pendulum_swingup": "Pendulum",
    "point_mass_easy": "Pointmass 2D", "reacher_easy": "Reacher", "reacher_hard": "Reacher", "cheetah_run": "Cheetah",
    "walker_stand": "Walker 2D", "walker_walk": "Walker 2D", "hopper_hop": "Hopper",
    "manipulator_bring_ball": "Gripper", "cartpole_swingup_pixels": "–", "cheetah_run_pixels": "–",
    "pendulum_swingup_pixels": "Pendulum RGB", "point_mass_easy_pixels": "Pointmass2D RGB",
    "manipulator_bring_ball_pixels": "Gripper RGB",
}  # fmt: skip
"""Tasks, with the paper's panel that each descends from."""
PIXELS = {f"{task}_pixels": task for task in PANELS if f"{task}_pixels" in PANELS}
"""Tasks from pixels, with the same task from state."""
TASKS = {f"control/{task}": task for task in PANELS}
"""Tasks by `env`."""


def by_chance(task: str, column: str = "score_mean") -> float:
    """The best blind policy's mean score, or its entry in another column; NaN if none was measured.

    Blind policies are random, constant, and constant with the noise of a Gaussian policy. For tasks from pixels, those
    that hold each action for several steps also count.
    """
    table = references(f"control/{PIXELS.get(task, task)}")
    table = table if task in PIXELS else table[table["env.action_repeat"].isna()]
    return float(table.loc[table["score_mean"].idxmax(), column]) if len(table) else float("nan")


def is_learnt(task: str, score: float) -> bool:
    """Whether a score is three times a blind policy's, or a fifth of the way from it to the maximum, and not by chance.

    Where reward is rare, a blind policy's mean over a few evaluation episodes is often three times its long-run mean,
    so the score must also exceed it by four of its standard errors.
    """
    least, deviation = by_chance(task), by_chance(task, "score_std")
    far = min(2 * least, 0.2 * (MAX_SCORE - least))
    return score > least + max(far, 4 * deviation / np.sqrt(EPISODES))


def control(results: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs and evaluations, with columns for the task, the way the run learned, and the number of its search."""
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
    """A task's representative runs: fresh seeds of the latest search that has any, else its best, as in the paper."""
    fresh = runs[runs["seed"] >= HELD_OUT]
    if fresh.empty:
        return representative_runs(runs, ["task"], results.notes["best"])
    return fresh[fresh["search"] == fresh.groupby("task")["search"].transform("max")]


def suite_score(task: str, printed: str = "1e8_steps") -> float:
    """The score of the Control Suite's own A3C after 100M steps; NaN if it has none.

    `printed="planet"`: the value printed in the PlaNet paper or, if that omits the task, the other copy. The two differ
    on `reacher_easy`.
    """
    table = paper("other_dm_control_a3c").set_index(["domain", "task"])
    copies = table[f"a3c_state_{printed}"].fillna(table["a3c_state_1e8_steps"])
    copies.index = copies.index.map("_".join)
    return float(copies.get(task, float("nan")))


def suite_scores(task: str) -> str:
    """Both printed copies of the score, if they differ."""
    one, other = suite_score(task), suite_score(task, "planet")
    return f"{one:.1f} or {other:.0f}" if abs(one - other) > 1 else number(one)
