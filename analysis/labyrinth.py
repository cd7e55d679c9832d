"""§5.4: A3C with LSTM cells in mazes it has never seen, and in one that stays, beside a random player and an expert.

python analysis/labyrinth.py [scale=laptop]

The paper says of its own that the final average score was around 50; its curve was not printed.
"""

from __future__ import annotations

import sys

import pandas as pd
from matplotlib.axes import Axes

from a3crepro.cli import run_command
from a3crepro.figures import NOTHING, Ours, markdown, number, ours, panels, reference, save, scale_of
from a3crepro.results import select, stacked, standing_for
from a3crepro.statistics import interval_of_mean
from a3crepro.sweeping.experiment import FRESH

PAPER = 50.0
"""§5.4: around this, in another environment."""
COLORS = ("tab:blue", "tab:orange")
"""A budget each."""


def draw(axes: Axes, mine: Ours, env: str) -> None:
    """Each run as a thin line, the mean of those of a budget as a thick one, beside players that learn nothing."""
    table = mine.evaluations()
    for color, (budget, runs) in zip(COLORS, chosen(mine, env).groupby("budget"), strict=False):
        frames, scores = stacked(table[table["run"].isin(runs["run"])], "frames")
        frames /= 1e6
        axes.plot(frames, scores.T, color=color, linewidth=0.5, alpha=0.6)
        axes.plot(frames, scores.mean(0), color=color, linewidth=1.4, label=name_of(budget))
    axes.axhline(reference(env, "expert"), color="black", linewidth=0.8, linestyle="--", label="expert")
    axes.axhline(reference(env, "blind"), color="0.5", linewidth=0.8, linestyle="-.", label="without looking")
    axes.axhline(reference(env), color="0.5", linewidth=0.8, linestyle=":", label="random")
    axes.set(title=env, xlabel="million frames", ylim=(0, None))
    axes.legend(fontsize=6)


def main() -> None:
    """Draws the figure and writes the table."""
    scale = scale_of(sys.argv[1:])
    mine = ours("labyrinth", scale)
    envs = ["labyrinth", "labyrinth_static"]
    figure, grid = panels(envs, 1, 3.4, 2.6)
    for axes, env in zip(grid[0], envs, strict=True):
        if mine:
            draw(axes, mine, env)
        axes.set_title(env.replace("_", ", "))
    grid[0][0].set_ylabel("score")
    rows = [["paper, Labyrinth", "A3C, LSTM", f"around {PAPER:g}", "–", "–"]]
    for env in envs:
        rows += [
            [env, player, *(number(reference(env, player, column)) for column in ("score_mean", "apples", "portals"))]
            for player in ("random", "blind", "expert")
        ]
        rows += learnt(mine, env) if mine else []
    rows += search(mine) if mine else []
    caption = (
        "Score, apples and portals an episode. Final evaluations, mean with 95 % interval over seeds; the mazes of "
        "`labyrinth` are drawn apart from those of training. The blind player goes straight on, and turns where there "
        f"is no way on. A search has a run a choice, of fewer frames. {mine.caption() if mine else NOTHING}"
    )
    save(figure, "labyrinth", scale, markdown(["environment", "player", "score", "apples", "portals"], rows), caption)


def chosen(mine: Ours, env: str) -> pd.DataFrame:
    """The runs that stand for one kind of mazes: fresh seeds, or, as in the paper, the best rates."""
    return select(standing_for(mine.runs, ["env"], mine.notes["best"]), env=env)


def learnt(mine: Ours, env: str) -> list[list[str]]:
    """What A3C came to with each budget."""
    rows = []
    for budget, runs in chosen(mine, env).groupby("budget"):
        columns = [runs[key].to_numpy(float) for key in ("score", "apples", "portals")]
        rows.append([env, name_of(budget), *(str(interval_of_mean(column)) for column in columns)])
    return rows


def name_of(budget: float) -> str:
    """That of the runs with so many frames."""
    return f"A3C, LSTM, {budget / 1e6:g}M frames"


def search(mine: Ours) -> list[list[str]]:
    """What each choice came to, of which the best one was run with fresh seeds."""
    rows = []
    for _, run in mine.runs[mine.runs["seed"] < FRESH].iterrows():
        choice = ", ".join([f"rate {run['learning_rate']:g}", *run["variant"].split()])
        rows.append([run["env"], f"search: {choice}", *(number(run[key]) for key in ("score", "apples", "portals"))])
    return rows


if __name__ == "__main__":
    run_command(main, __doc__)
