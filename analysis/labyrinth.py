"""§5.4: A3C with LSTM cells in new mazes and in a fixed one, beside a random policy and an expert.

python analysis/labyrinth.py [scale=laptop]

The paper gives its final average score as around 50 and does not print the curve.
"""

import pandas as pd
from matplotlib.axes import Axes

from a3crepro.experiments import figures
from a3crepro.experiments.experiment import HELD_OUT
from a3crepro.experiments.figures import Page, Results, markdown, number, script
from a3crepro.experiments.results import overridden, select, stacked
from a3crepro.experiments.statistics import interval_of_mean
from a3crepro.runs.command_line import run_command

MAZES = {"labyrinth": "labyrinth", "labyrinth_static": "labyrinth, static"}
"""Environments, with the titles of their panels."""
POLICIES = {"expert": "expert", "blind": "ignores observations", "random": "random"}
"""Policies that do not learn, with their labels."""
PAPER = 50.0
"""§5.4: approximate, and in another environment."""
COUNTS = ("score", "apples", "portals")


def draw(axes: Axes, results: Results, env: str) -> None:
    """Draws each run as a thin line and their mean as a thick one, beside policies that do not learn."""
    shown = results.evaluations(chosen(results, env))
    if len(shown):
        frames, scores = stacked(shown, "frames")
        figures.draw_runs(axes, frames / 1e6, scores, figures.COLORS["a3c"], label="A3C, LSTM")
    for policy, label in POLICIES.items():
        figures.draw_level(axes, figures.reference(env, policy), policy, label)
    axes.set(xlabel="million frames", ylim=(0, None))


@script("labyrinth")
def main(results: Results | None) -> Page:
    """Draws the figure and writes the table."""
    figure, grid = figures.panels(len(MAZES), width=3.4, height=2.6)
    for axes, (env, name) in zip(grid[0], MAZES.items(), strict=True):
        if results:
            draw(axes, results, env)
        seeds = len(chosen(results, env)) if results else 0
        axes.set_title(f"{name}, {seeds} seed{'' if seeds == 1 else 's'}")
    grid[0][0].set_ylabel("score")
    figures.legend_below(figure, grid.flat)
    rows = [["paper, Labyrinth", "A3C, LSTM", f"around {PAPER:g}", "–", "–"]]
    for env in MAZES:
        rows += [
            [env, policy, *(number(figures.reference(env, policy, key)) for key in ("score_mean", "apples", "portals"))]
            for policy in reversed(POLICIES)
        ]
        rows += [row(results, env)] if results else []
    rows += search(results) if results else []
    caption = (
        "Score, apples and portals per episode. A3C's: final scores, the means of the last three evaluations, and the "
        "last evaluation's apples and portals; means over seeds, with 95 % intervals from five on. The mazes of "
        "`labyrinth` are drawn apart from those of training. The `blind` policy ignores its observations: it walks "
        "straight on and turns at walls. The search has one shorter run per choice."
    )
    return figure, markdown(["environment", "policy", *COUNTS], rows), caption


def chosen(results: Results, env: str) -> pd.DataFrame:
    """The representative runs of one kind of maze: held-out seeds or, as in the paper, the best rates."""
    return select(results.representative(["env"]), env=env)


def row(results: Results, env: str) -> list[str]:
    """A3C's final scores."""
    runs = chosen(results, env)
    return [env, "A3C, LSTM", *(str(interval_of_mean(runs[key])) if len(runs) else "–" for key in COUNTS)]


def search(results: Results) -> list[list[str]]:
    """The results of each choice; the one with the best last evaluation was repeated with held-out seeds."""
    rows = []
    for _, run in results.runs[results.runs["seed"] < HELD_OUT].iterrows():
        overrides = (f"{key}={run[key]}" for key in overridden(results.runs) if run[key])
        choice = ", ".join([f"rate {run['learning_rate']:g}", *overrides])
        rows.append([run["env"], f"search: {choice}", *(number(run[key]) for key in COUNTS)])
    return rows


if __name__ == "__main__":
    run_command(main, __doc__)
