"""Figures S7 and S8: continuous control over learning rates and over time, the paper's readings and ours.

  python analysis/mujoco.py [scale=laptop]

The paper's tasks were never released, and rewards are not comparable: of its figures the ranges of good learning rates
stand beside ours, and beside our scores those of the Control Suite's own A3C after 100M steps (Tassa et al. 2018).
"""

from __future__ import annotations

import sys

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from _control import MOST, OTHERWISE, PAPERS, SEARCHED, by_chance, control, over_time, suite_score
from matplotlib.axes import Axes

from a3crepro.cli import run_command
from a3crepro.figures import NOTHING, markdown, number, ours, paper, save, scale_of
from a3crepro.results import select, stacked
from a3crepro.statistics import interval_of_mean
from a3crepro.sweeping.experiment import FRESH

DOMAINS = {
    "cartpole_balance": "Cartpole", "cartpole_swingup": "Cartpole", "pendulum_swingup": "Pendulum",
    "point_mass_easy": "Pointmass 2D", "reacher_easy": "Reacher", "reacher_hard": "Reacher", "cheetah_run": "Cheetah",
    "walker_stand": "Walker 2D", "walker_walk": "Walker 2D", "hopper_hop": "Hopper",
    "manipulator_bring_ball": "Gripper", "pendulum_swingup_pixels": "Pendulum RGB",
    "point_mass_easy_pixels": "Pointmass2D RGB", "manipulator_bring_ball_pixels": "Gripper RGB",
}  # fmt: skip
"""The paper's panel of which a task is a descendant."""
SCHEMES = {
    PAPERS: "o", OTHERWISE: "^", "rollouts of 20, ε 0.1": "x", SEARCHED: "<",
    "rollouts of 100, ε 1e-05": ">",
}  # fmt: skip
COLORS = dict(zip(SCHEMES, sns.color_palette("colorblind"), strict=False))
CURVE = "tab:blue"
COLUMNS = 5


def draw_ranges(axes: Axes) -> None:
    """The paper's ranges of good learning rates, as they can be read off Figure S7."""
    table = paper("figs7_s8_mujoco_readings").dropna(subset=["S7_good_lr_low", "S7_good_lr_high"])
    low, high = table["S7_good_lr_low"], table["S7_good_lr_high"]
    axes.barh(table["domain"], high - low, left=low, color="0.6", height=0.6)
    axes.set(xscale="log", xlim=(7e-6, 0.15), xlabel="learning rate", title="paper: good learning rates, read off S7")
    axes.tick_params(axis="y", labelsize=6)


def draw_rates(axes: Axes, runs: pd.DataFrame, task: str) -> None:
    """A point a run of the search."""
    for scheme, marker in SCHEMES.items():
        points = select(runs, task=task, scheme=scheme)
        axes.plot(points["learning_rate"], points["score"], marker, color=COLORS[scheme], markersize=3, label=scheme)
    axes.set(xscale="log", xlim=(7e-6, 0.15), title=task, xlabel="learning rate")


def draw_curves(axes: Axes, scores: pd.DataFrame, task: str) -> None:
    """Each run as a thin line, their mean as a thick one; dashed: the Control Suite's A3C after 100M steps."""
    for budget, part in select(scores, task=task).groupby("budget"):
        steps, values = stacked(part, "frames")
        color = "0.5" if budget > 2e6 else CURVE
        axes.plot(steps / 1e6, values.T, color=color, linewidth=0.4, alpha=0.6)
        axes.plot(steps / 1e6, values.mean(0), color=color, linewidth=1.3)
    axes.axhline(suite_score(task), color="black", linewidth=0.8, linestyle="--")
    axes.axhline(by_chance(task), color="0.5", linewidth=0.8, linestyle=":")
    axes.set(title=task, xlabel="million steps")


def main() -> None:
    """Draws the figure and writes the table."""
    scale = scale_of(sys.argv[1:])
    mine = ours("mujoco", scale)
    runs, scores = control(mine) if mine else (pd.DataFrame(columns=["task"]), pd.DataFrame())
    shown = scores[scores["run"].isin(over_time(mine, runs)["run"])] if mine else scores
    tasks = list(dict.fromkeys(runs["task"]))
    lines = -(-len(tasks) // COLUMNS)
    sns.set_theme(style="whitegrid", context="paper", font_scale=0.8, rc={"svg.hashsalt": "a3crepro"})
    figure = plt.figure(figsize=(11, 2.6 + 4.0 * lines), layout="constrained")
    grid = figure.add_gridspec(1 + 2 * lines, COLUMNS)
    draw_ranges(figure.add_subplot(grid[0, : COLUMNS if not tasks else 3]))
    for place, task in enumerate(tasks):
        line, column = divmod(place, COLUMNS)
        draw_rates(figure.add_subplot(grid[1 + line, column]), runs[runs["seed"] < FRESH], task)
        draw_curves(figure.add_subplot(grid[1 + lines + line, column]), shown, task)
    if tasks:
        figure.axes[1].legend(fontsize=6)
    caption = (
        f"Scores of the Control Suite's tasks, at most {MOST:,.0f}; final evaluations, means with 95 % intervals over "
        "seeds. The paper's: whole episodes without bootstrapping, separate LSTM networks, one variance. Rollouts: of "
        "20 or 100 steps with bootstrapping, one network without LSTM, mean and variances within bounds, scaled "
        "observations (from pixels one network with an LSTM, unscaled); the last is the same but for whole episodes. "
        "Search: the best rate's run. "
        f"Dashed: the Control Suite's own A3C after 100M steps; dotted: a random policy. "
        f"{mine.caption() if mine else NOTHING}"
    )
    save(figure, "mujoco", scale, table_of(runs), caption)


def table_of(runs: pd.DataFrame) -> str:
    """A row a task, or, without ours, a row a panel of the paper."""
    if runs.empty:
        readings = paper("figs7_s8_mujoco_readings")
        header = ["paper's domain", "input", "start (S8)", "best (S8)", "hours to near its plateau", "good rates (S7)"]
        rows = [
            [row.domain, row.input, row.S8_start, row.S8_best, row.S8_hours_to_near_plateau,
             f"{row.S7_good_lr_low:g} to {row.S7_good_lr_high:g}" if row.S7_good_lr_low == row.S7_good_lr_low else "–"]
            for row in readings.itertuples()
        ]  # fmt: skip
        return markdown(header, rows)
    fresh = runs[runs["seed"] >= FRESH]
    budgets = sorted(fresh["budget"].unique())
    header = ["task", "paper's domain", "random", "Suite's A3C, 100M steps",
              *(f"{scheme}, search" for scheme in SCHEMES),
              *(f"fresh seeds, {budget / 1e6:g}M steps" for budget in budgets)]  # fmt: skip
    rows = []
    for task in dict.fromkeys(runs["task"]):
        search = select(runs[runs["seed"] < FRESH], task=task)
        best = [number(select(search, scheme=scheme)["score"].max()) for scheme in SCHEMES]
        final = [
            str(interval_of_mean(found.to_numpy(float))) if len(found) else "–"
            for found in (select(fresh, task=task, budget=budget)["score"] for budget in budgets)
        ]
        reference = [number(by_chance(task)), number(suite_score(task))]
        rows.append([task, DOMAINS.get(task, "–"), *reference, *best, *final])
    return markdown(header, rows)


if __name__ == "__main__":
    run_command(main, __doc__)
