"""§5.4: A3C with LSTM cells in new mazes and in a fixed one, beside a random policy and an expert.

python analysis/labyrinth.py [scale=laptop]

The paper gives its final average score as around 50 and does not print the curve.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments.experiment import HELD_OUT
from a3crepro.experiments.figures import (
    NOTHING,
    Results,
    load_results,
    markdown,
    number,
    panels,
    reference,
    save,
    scale_of,
)
from a3crepro.experiments.results import overridden, representative_runs, select, stacked
from a3crepro.experiments.statistics import interval_of_mean
from a3crepro.runs.command_line import run_command

MAZES = {"labyrinth": "labyrinth", "labyrinth_static": "labyrinth, static"}
"""Environments, with the titles of their panels."""
PAPER = 50.0
"""§5.4: approximate, and in another environment."""
LAST = 3
"""Number of last evaluations, including the final one."""


def draw(axes: Axes, results: Results, env: str) -> None:
    """Draws each run as a thin line and their mean as a thick one, beside policies that do not learn."""
    table = results.evaluations()
    shown = table[table["run"].isin(chosen(results, env)["run"])]
    if len(shown):
        frames, scores = stacked(shown, "frames")
        frames /= 1e6
        axes.plot(frames, scores.T, color="tab:blue", linewidth=0.5, alpha=0.6)
        axes.plot(frames, scores.mean(0), color="tab:blue", linewidth=1.4, label="A3C, LSTM")
    axes.axhline(reference(env, "expert"), color="black", linewidth=0.8, linestyle="--", label="expert")
    axes.axhline(reference(env, "blind"), color="0.5", linewidth=0.8, linestyle="-.", label="without looking")
    axes.axhline(reference(env), color="0.5", linewidth=0.8, linestyle=":", label="random")
    axes.set(title=env, xlabel="million frames", ylim=(0, None))
    axes.legend(fontsize=6)


def main() -> None:
    """Draws the figure and writes the table."""
    scale = scale_of(sys.argv[1:])
    results = load_results("labyrinth", scale)
    figure, grid = panels(list(MAZES), 1, 3.4, 2.6)
    for axes, (env, name) in zip(grid[0], MAZES.items(), strict=True):
        if results:
            draw(axes, results, env)
        axes.set_title(name)
    grid[0][0].set_ylabel("score")
    rows = [["paper, Labyrinth", "A3C, LSTM", f"around {PAPER:g}", "–", "–"]]
    for env in MAZES:
        rows += [
            [env, player, *(number(reference(env, player, column)) for column in ("score_mean", "apples", "portals"))]
            for player in ("random", "blind", "expert")
        ]
        rows += [row(results, env), last_row(results, env)] if results else []
    rows += search(results) if results else []
    caption = (
        "Score, apples and portals an episode. Final evaluations, mean with 95 % interval over seeds; the mazes of "
        "`labyrinth` are drawn apart from those of training. The blind player goes straight on, and turns where there "
        f"is no way on. A search has a run a choice, of fewer frames. {results.caption() if results else NOTHING}"
    )
    save(figure, "labyrinth", scale, markdown(["environment", "player", "score", "apples", "portals"], rows), caption)


def chosen(results: Results, env: str) -> pd.DataFrame:
    """The representative runs of one kind of maze: fresh seeds or, as in the paper, the best rates."""
    return select(representative_runs(results.runs, ["env"], results.notes["best"]), env=env)


def row(results: Results, env: str) -> list[str]:
    """A3C's final scores."""
    runs = chosen(results, env)
    columns = [runs[key].to_numpy(float) for key in ("score", "apples", "portals")]
    return [env, "A3C, LSTM", *(str(interval_of_mean(column)) if len(runs) else "–" for column in columns)]


def last_row(results: Results, env: str) -> list[str]:
    """The same for the last evaluations during training, whose mean varies less."""
    table = results.evaluations().sort_values("frames")
    means = [
        scores["score"].iloc[-LAST:].mean()
        for run, scores in table.groupby("run")
        if run in set(chosen(results, env)["run"])
    ]
    text = str(interval_of_mean(np.array(means))) if means else "–"
    return [env, f"A3C, LSTM, last {LAST} evaluations", text, "–", "–"]


def search(results: Results) -> list[list[str]]:
    """The results of each choice; the best was repeated with fresh seeds."""
    rows = []
    for _, run in results.runs[results.runs["seed"] < HELD_OUT].iterrows():
        overrides = (f"{key}={run[key]}" for key in overridden(results.runs) if run[key])
        choice = ", ".join([f"rate {run['learning_rate']:g}", *overrides])
        rows.append([run["env"], f"search: {choice}", *(number(run[key]) for key in ("score", "apples", "portals"))])
    return rows


if __name__ == "__main__":
    run_command(main, __doc__)
