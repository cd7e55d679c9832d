"""Figure 1: score over hours of training, in the paper's five games and in this reproduction's.

python analysis/learning_speed.py [scale=laptop]
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments.figures import (
    COLORS,
    DASHES,
    METHODS,
    NOTHING,
    TITLES,
    Results,
    legend_below,
    load_results,
    markdown,
    panels,
    paper,
    save,
    scale_of,
)
from a3crepro.experiments.results import select, stacked
from a3crepro.experiments.statistics import best, interval_of_mean
from a3crepro.runs.command_line import run_command

NAMES = {"dqn": "DQN", **METHODS}


def draw_paper(axes: Axes, table: pd.DataFrame) -> None:
    """Draws a line per method with the paper's band, which the paper does not define."""
    for method, curve in table.groupby("method"):
        name = str(method)
        axes.plot(
            curve["hours"], curve["score"], color=COLORS[name], dashes=DASHES[name], linewidth=1, label=NAMES[name]
        )
        axes.fill_between(
            curve["hours"], curve["band_low"], curve["band_high"], color=COLORS[name], alpha=0.12, linewidth=0
        )


def best_runs(results: Results, env: str, method: str, k: int | None) -> pd.DataFrame:
    """The scores of the k runs with the best final scores; all if k is None."""
    runs = select(results.runs, env=env, method=method)
    chosen = runs.iloc[best(runs["score"].to_numpy(float), k)]["run"]
    scores = results.evaluations()
    return scores[scores["run"].isin(chosen)]


def draw_ours(axes: Axes, results: Results, env: str) -> None:
    """Draws the best runs as thin lines, their mean as a thick one, and the middle half of all runs as a band."""
    for method in METHODS:
        table = best_runs(results, env, method, results.notes["best"])
        if table.empty:
            continue
        seconds, scores = stacked(table, "seconds")
        hours = seconds / 3600
        axes.plot(hours, scores.T, color=COLORS[method], linewidth=0.4, alpha=0.5)
        axes.plot(
            hours, scores.mean(0), color=COLORS[method], dashes=DASHES[method], linewidth=1.3, label=NAMES[method]
        )
        seconds, scores = stacked(best_runs(results, env, method, None), "seconds")
        axes.fill_between(
            seconds / 3600, *np.percentile(scores, (25, 75), axis=0), color=COLORS[method], alpha=0.1, linewidth=0
        )


def main() -> None:
    """Draws the figure and writes the table of final scores."""
    scale = scale_of(sys.argv[1:])
    data, results = paper("fig1_learning_speed"), load_results("learning_speed", scale)
    games, envs = list(data["game"].unique()), list(results.runs["env"].unique()) if results else []
    columns = max(len(games), len(envs))
    figure, grid = panels([""] * columns, 2 if envs else 1)
    for axes, game in zip(grid[0], games, strict=False):
        draw_paper(axes, data[data["game"] == game])
        axes.set(title=TITLES[game], xlabel="hours")
    for axes, env in zip(grid[1] if results else (), envs, strict=False):
        assert results is not None
        draw_ours(axes, results, env)
        if env in games:  # on the paper's scale
            axes.sharex(grid[0][games.index(env)])
            axes.sharey(grid[0][games.index(env)])
        axes.set(
            title=TITLES[env], xlabel="virtual hours" if "virtual_time" in set(results.runs["execution"]) else "hours"
        )
    for axes in (*grid[0][len(games) :], *(grid[1][len(envs) :] if results else ())):
        axes.set_visible(False)
    for line in grid:
        line[0].set_ylabel("score")
    legend_below(figure, grid[0][:1])
    header, rows = table_of(data, results)
    caption = (
        "Last scores: the paper's, means of the best 5 of 50 runs (DQN: 5 seeds); ours, final evaluations of all runs, "
        f"mean with 95 % interval, and of the best {results.notes['best'] if results else 5}. Ours: the best as lines, "
        "the middle half of all runs as a band. "
        f"{results.caption() if results else NOTHING}"
    )
    save(figure, "learning_speed", scale, markdown(header, rows), caption)


def table_of(data: pd.DataFrame, results: Results | None) -> tuple[list[str], list[list[str]]]:
    """Last scores by game and method."""
    last = data.sort_values("hours").groupby(["game", "method"])["score"].last().unstack()
    rows = [[TITLES[str(game)], *(f"{last.loc[game, method]:,.1f}" for method in NAMES)] for game in last.index]
    for env, runs in results.runs.groupby("env") if results else ():
        cells = ["–"]
        for method in METHODS:
            scores = select(runs, method=method)["score"].to_numpy(float)
            top = scores[best(scores, results.notes["best"] if results else None)]
            cells.append(f"{interval_of_mean(scores)}; {top.mean():.1f}" if scores.size else "–")
        rows.append([TITLES[str(env)], *cells])
    return ["game", *NAMES.values()], rows


if __name__ == "__main__":
    run_command(main, __doc__)
