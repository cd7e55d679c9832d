"""Figure 1: score over hours of training, in the paper's five games and in this reproduction's.

python analysis/learning_speed.py [scale=laptop]
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, OWN, TITLES, Page, Results, markdown, script
from a3crepro.experiments.results import select, stacked
from a3crepro.experiments.statistics import best, interval_of_mean
from a3crepro.runs.command_line import run_command


def best_runs(results: Results, env: str, method: str, k: int | None) -> pd.DataFrame:
    """The scores of the k runs with the best final scores; all if k is None."""
    runs = select(results.runs, env=env, method=method)
    return results.evaluations(runs.iloc[best(runs["score"].to_numpy(float), k)])


def draw_own(axes: Axes, results: Results, env: str) -> None:
    """Draws the best runs as thin lines, their mean as a thick one, and the middle half of all runs as a band."""
    for method in METHODS:
        table = best_runs(results, env, method, results.notes["best"])
        if table.empty:
            continue
        seconds, scores = stacked(table, "seconds")
        style = {"dashes": figures.DASHES[method], "label": figures.NAMES[method]}
        figures.draw_runs(axes, seconds / 3600, scores, figures.COLORS[method], each=True, **style)
        seconds, scores = stacked(best_runs(results, env, method, None), "seconds")
        middle = np.percentile(scores, (25, 75), axis=0)
        axes.fill_between(seconds / 3600, *middle, color=figures.COLORS[method], alpha=0.1, linewidth=0)


@script("learning_speed")
def main(results: Results | None) -> Page:
    """Draws the figure and writes the table of final scores."""
    data = figures.paper("fig1_learning_speed")
    games, envs = list(data["game"].unique()), list(results.runs["env"].unique()) if results else []
    figure, grid = figures.panels(max(len(games), len(envs)), 2 if envs else 1)
    for axes, game in zip(grid[0], games, strict=False):
        for method, curve in data[data["game"] == game].groupby("method"):
            figures.draw_paper(axes, curve, "hours", str(method))
        axes.set(title=TITLES[game], xlabel="hours")
    for axes, env in zip(grid[-1], envs, strict=False):
        assert results is not None
        draw_own(axes, results, env)
        if env in games:  # on the paper's scale
            axes.sharex(grid[0][games.index(env)])
            axes.sharey(grid[0][games.index(env)])
        axes.set(title=TITLES[env], xlabel="virtual hours" if results.is_virtual else "hours")
    for axes in (*grid[0][len(games) :], *(grid[1][len(envs) :] if envs else ())):
        axes.set_visible(False)
    for line in grid:
        line[0].set_ylabel("score")
    figures.legend_below(figure, grid[0][:1])
    header, rows = table_of(data, results)
    caption = (
        f"Last scores: the paper's, means of the best 5 of 50 runs (DQN: 5 seeds); {OWN}'s, final evaluations of all "
        f"runs, mean with 95 % interval, and of the best {results.notes['best'] if results else 5}. {OWN}: the best as "
        "lines, the middle half of all runs as a band."
    )
    return figure, markdown(header, rows), caption


def table_of(data: pd.DataFrame, results: Results | None) -> tuple[list[str], list[list[str]]]:
    """Last scores by game and method."""
    last = data.sort_values("hours").groupby(["game", "method"])["score"].last().unstack()
    rows = [[TITLES[str(game)], *(f"{last.loc[game, method]:,.1f}" for method in figures.NAMES)] for game in last.index]
    for env, runs in results.runs.groupby("env") if results else ():
        cells = ["–"]
        for method in METHODS:
            scores = select(runs, method=method)["score"].to_numpy(float)
            top = scores[best(scores, results.notes["best"] if results else None)]
            cells.append(f"{interval_of_mean(scores)}; {top.mean():.1f}" if scores.size else "–")
        rows.append([TITLES[str(env)], *cells])
    return ["game", *figures.NAMES.values()], rows


if __name__ == "__main__":
    run_command(main, __doc__)
