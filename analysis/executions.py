"""A3C on MinAtar Breakout in three executions, with 95 % intervals over seeds.

python analysis/executions.py [scale=laptop]
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments.figures import PALETTE, Page, Results, draw_runs, legend_below, markdown, panels, script
from a3crepro.experiments.results import select, stacked
from a3crepro.experiments.statistics import interval_of_difference, interval_of_mean
from a3crepro.runs.command_line import run_command

CASES = {
    ("hogwild", 2, 7e-4): "hogwild, 2 processes",
    ("virtual_time", 2, 7e-4): "virtual time, 2 actor-learners",
    ("virtual_time", 16, 7e-4): "virtual time, 16 actor-learners",
    ("synchronous", 16, 7e-4): "synchronous (A2C), 16 actor-learners",
    ("virtual_time", 16, 28e-4): "virtual time, 16, four times the learning rate",
    ("synchronous", 16, 28e-4): "synchronous, 16, four times the learning rate",
}

STYLES = ((), (4, 2), (1, 1), (6, 1, 1, 1), (8, 2), (2, 3))
"""Dashes of the cases, to distinguish lines in print."""


def of_case(table: pd.DataFrame, execution: str, threads: int, rate: float) -> pd.DataFrame:
    """The rows of a case."""
    return select(table, execution=execution, threads=threads, learning_rate=rate)


def draw(axes: Axes, training: pd.DataFrame) -> dict[str, np.ndarray]:
    """Draws all training curves; returns their scores [seeds, parts] by label."""
    found = {}
    for color, dashes, (case, label) in zip(PALETTE, STYLES, CASES.items(), strict=False):
        if (rows := of_case(training, *case)).empty:
            continue
        frames, values = stacked(rows, "frames")
        style = {"dashes": dashes, "label": f"{label}, {len(values)} seeds"}
        draw_runs(axes, frames / 1e3, values, color, **style)
        found[label] = values
    return found


def compared(one: np.ndarray, other: np.ndarray) -> str:
    """The difference between virtual time and the processes it models."""
    found = [interval_of_difference(pair) for pair in zip(other.T, one.T, strict=True)]
    difference, within = [part.value for part in found], sum(0.0 in part for part in found)
    return (
        f"Virtual time minus hogwild, two actor-learners each: from {min(difference):.2f} to {max(difference):.2f}; 0 "
        f"lies within its 95 % interval in {within} of {len(difference)} parts. "
    )


@script("executions")
def main(results: Results | None) -> Page:
    """Draws the figure, tabulates the final scores, and compares hogwild with virtual time."""
    figure, grid = panels(1, width=6.5, height=4.2)
    grid[0][0].set(xlabel="thousand frames", ylabel="score of the training episodes")
    rows, difference = [], ""
    if results:
        found = draw(grid[0][0], select(results.scores, score_type="training"))
        legend_below(figure, grid[0], columns=2)
        hogwild, virtual = list(CASES.values())[:2]
        if {hogwild, virtual} <= found.keys():
            difference = compared(found[hogwild], found[virtual])
        for case, label in CASES.items():
            if label not in found:
                continue
            values, final = found[label], of_case(results.runs, *case)["last_score"].mean()
            last = values[:, -max(1, values.shape[1] // 10) :].mean(1)
            rows.append([label, str(len(last)), str(interval_of_mean(last)), f"{final:.2f}"])
    header = ["execution", "seeds", "mean of the last tenth, 95 % interval", "final evaluation, mean"]
    return figure, markdown(header, rows), f"{difference}Bands: 95 % intervals of the mean."


if __name__ == "__main__":
    run_command(main, __doc__)
