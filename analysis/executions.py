"""A3C on MinAtar Breakout in three executions, with bootstrap intervals over seeds.

python analysis/executions.py [scale=laptop]
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from a3crepro.cli import run_command
from a3crepro.figures import NOTHING, legend_below, markdown, ours, panels, save, scale_of
from a3crepro.results import select, stacked

CASES = {
    ("hogwild", 2, 7e-4): "hogwild, 2 processes",
    ("virtual_time", 2, 7e-4): "virtual time, 2 actor-learners",
    ("virtual_time", 16, 7e-4): "virtual time, 16 actor-learners",
    ("synchronous", 16, 7e-4): "synchronous (A2C), 16 actor-learners",
    ("virtual_time", 16, 28e-4): "virtual time, 16, four times the learning rate",
    ("synchronous", 16, 28e-4): "synchronous, 16, four times the learning rate",
}
RESAMPLES = 10_000


def interval(values: np.ndarray) -> np.ndarray:
    """The 95 % bootstrap interval of the mean over seeds, [2, …], from values [seeds, …]."""
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    return np.percentile(values[drawn].mean(1), (2.5, 97.5), axis=0)


def interval_of_difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The 95 % bootstrap interval of the mean of `other` less that of `one`, [2, …]; their seeds are no pairs."""
    rng = np.random.default_rng(1)
    means = [values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(1) for values in (one, other)]
    return np.percentile(means[1] - means[0], (2.5, 97.5), axis=0)


def of_case(table: pd.DataFrame, execution: str, threads: int, rate: float) -> pd.DataFrame:
    """A case's rows."""
    return select(table, execution=execution, threads=threads, learning_rate=rate)


def draw(axes: Axes, training: pd.DataFrame) -> dict[str, np.ndarray]:
    """All curves of the training games; returns their scores [seeds, parts] by their labels."""
    found = {}
    for color, (case, label) in zip(sns.color_palette("colorblind"), CASES.items(), strict=False):
        frames, values = stacked(of_case(training, *case), "frames")
        axes.plot(frames / 1e3, values.mean(0), color=color, linewidth=1.2, label=f"{label}, {len(values)} seeds")
        axes.fill_between(frames / 1e3, *interval(values), color=color, alpha=0.2, linewidth=0)
        found[label] = values
    return found


def compared(one: np.ndarray, other: np.ndarray) -> str:
    """How far virtual time is from the processes that it stands for."""
    difference = other.mean(0) - one.mean(0)
    low, high = interval_of_difference(one, other)
    within = ((low <= 0) & (high >= 0)).sum()
    return (
        f"Virtual time less hogwild, two actor-learners each: from {difference.min():.2f} to {difference.max():.2f}; 0 "
        f"lies within its 95 % interval in {within} of {len(difference)} parts. "
    )


def main() -> None:
    """Draws the figure, tabulates the final scores, and tells how far hogwild and virtual time differ."""
    scale = scale_of(sys.argv[1:])
    mine = ours("executions", scale)
    figure, grid = panels(["all"], 1, 6.5, 4.2)
    grid[0][0].set(xlabel="thousand frames", ylabel="score of the training games")
    rows, difference = [], ""
    if mine:
        found = draw(grid[0][0], select(mine.scores, score_type="training"))
        legend_below(figure, grid[0], columns=2)
        difference = compared(*list(found.values())[:2])
        for case, label in CASES.items():
            values, final = found[label], of_case(mine.runs, *case)["score"].mean()
            last = values[:, -max(1, values.shape[1] // 10) :].mean(1)
            low, high = interval(last)
            rows.append([label, str(len(last)), f"{last.mean():.2f}", f"{low:.2f} to {high:.2f}", f"{final:.2f}"])
    header = ["execution", "seeds", "mean of the last tenth", "95 % interval", "final evaluation, mean"]
    caption = f"{difference}{mine.caption() if mine else NOTHING}"
    save(figure, "executions", scale, markdown(header, rows), caption)


if __name__ == "__main__":
    run_command(main, __doc__)
