"""Figure 1: score over hours of training, in the paper's five games and in this reproduction's.

python analysis/learning_speed.py [scale=laptop]
"""

import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, OWN, TITLES, Page, Results, markdown, number, script
from a3crepro.experiments.results import select, stacked
from a3crepro.experiments.statistics import interval_of_mean
from a3crepro.runs.command_line import run_command

PUBLISHED = {"dqn": ("DQN", ":"), "ac_lambda_0.8": ("AC(λ = 0.8)", "-.")}
"""The agents of MinAtar's authors (Young and Tian 2019), by their names in the table, with labels and line styles."""


def draw_own(axes: Axes, results: Results, env: str) -> None:
    """Draws the mean of each method's runs with its interval, beside what others published of this game."""
    for method, runs in select(results.representative(["env", "method"]), env=env).groupby("method"):
        seconds, scores = stacked(results.evaluations(runs), "seconds")
        style = {"dashes": figures.DASHES[str(method)], "label": figures.NAMES[str(method)]}
        figures.draw_runs(axes, seconds / 3600, scores, figures.COLORS[str(method)], **style)
    for agent, (label, line) in PUBLISHED.items():
        for score in published(env, agent):
            axes.axhline(score, color="0.4", linestyle=line, linewidth=0.9, label=f"{label}, Young and Tian")


def published(env: str, agent: str) -> list[float]:
    """The score of another agent after 5M frames of a MinAtar game, mean of 30 runs; empty if there is none."""
    data = figures.paper("other_minatar")
    found = data[(data["game"] == env.removeprefix("minatar/")) & (data["method"] == agent) & ("minatar/" in env)]
    return list(found["score_4.9M_to_5.0M"])


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
    figures.legend_below(figure, [grid[0][0], grid[-1][0]])
    header, rows = table_of(data, results)
    caption = (
        f"Last scores: the paper's, means of the best 5 of 50 runs (DQN: 5 seeds); {OWN}'s final scores, the means of "
        "the last three evaluations, with 95 % intervals over runs, and how many runs; horizontal lines: agents of "
        "MinAtar's authors after 5M frames (means of 30 runs). Bands: 95 % intervals of the mean."
    )
    return figure, markdown(header, rows), caption


def table_of(data: pd.DataFrame, results: Results | None) -> tuple[list[str], list[list[str]]]:
    """Last scores by game and method."""
    last = data.sort_values("hours").groupby(["game", "method"])["score"].last().unstack()
    rows = [
        [TITLES[str(game)], *(f"{last.loc[game, method]:,.1f}" for method in figures.NAMES), "–"] for game in last.index
    ]
    for env, runs in results.representative(["env", "method"]).groupby("env") if results else ():
        scores = [select(runs, method=method)["score"].to_numpy(float) for method in METHODS]
        cells = [f"{interval_of_mean(found)}, {found.size} runs" if found.size else "–" for found in scores]
        others = [f"{number(score)}" for agent in PUBLISHED for score in published(str(env), agent)]
        dqn, actor_critic = others or ["–", "–"]
        rows.append([TITLES[str(env)], dqn, *cells, actor_critic])
    return ["game", *figures.NAMES.values(), PUBLISHED["ac_lambda_0.8"][0]], rows


if __name__ == "__main__":
    run_command(main, __doc__)
