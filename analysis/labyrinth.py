"""§5.4: A3C with LSTM cells in mazes it has never seen, and in one that stays, beside a random player and an expert.

python analysis/labyrinth.py [scale=laptop]

The paper says of its own that the final average score was around 50; its curve was not printed.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.axes import Axes

from a3crepro.cli import run_command
from a3crepro.figures import NOTHING, Ours, markdown, ours, panels, save, scale_of
from a3crepro.results import select, stacked
from a3crepro.statistics import interval_of_mean
from a3crepro.sweeping.experiment import FRESH

PAPER = 50.0
"""§5.4: around this, in another environment."""
EXPERT = {"labyrinth": 106.4, "labyrinth_static": 101.3}
"""Mean scores of the scripted player: `python -m a3crepro.evaluate env=… policy=expert episodes=30 seed=0`."""
RANDOM = {"labyrinth": 0.8, "labyrinth_static": 0.9}
"""And of a random policy: `policy=random`."""


def draw(axes: Axes, mine: Ours, env: str) -> None:
    """Each fresh seed as a thin line, their mean as a thick one, between the random player and the expert."""
    table = select(mine.evaluations(), env=env)
    fresh = table[table["seed"] >= FRESH]
    if len(fresh):
        frames, scores = stacked(fresh, "frames")
        frames /= 1e6
        axes.plot(frames, scores.T, color="tab:blue", linewidth=0.5, alpha=0.6)
        axes.plot(frames, scores.mean(0), color="tab:blue", linewidth=1.4, label="A3C, LSTM")
    axes.axhline(EXPERT.get(env, np.nan), color="black", linewidth=0.8, linestyle="--", label="expert")
    axes.axhline(RANDOM.get(env, np.nan), color="0.5", linewidth=0.8, linestyle=":", label="random")
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
    rows = [["paper, Labyrinth", "–", "–", f"around {PAPER:g}"]]
    for env in envs if mine else ():
        assert mine is not None
        scores = select(mine.runs[mine.runs["seed"] >= FRESH], env=env)["score"].to_numpy(float)
        final = str(interval_of_mean(scores)) if scores.size else "–"
        rows.append([f"ours, {env}", f"{RANDOM[env]:.1f}", f"{EXPERT[env]:.1f}", final])
    caption = (
        "Final evaluations, mean with 95 % interval over seeds; their mazes are drawn apart from those of training. "
        f"{mine.caption() if mine else NOTHING}"
    )
    save(figure, "labyrinth", scale, markdown(["environment", "random", "expert", "A3C, LSTM"], rows), caption)


if __name__ == "__main__":
    run_command(main)
