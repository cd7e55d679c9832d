"""Figure S6: the four methods in four settings of a race, as shares of a reference player, the paper's and ours.

  python analysis/racing.py [scale=laptop]

The paper's reference is a human tester's score, ours that of a scripted driver that sees where it is: they stand in for
each other and are not the same.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from a3crepro.cli import run_command
from a3crepro.figures import (
    COLORS,
    DASHES,
    METHODS,
    NOTHING,
    Ours,
    legend_below,
    markdown,
    ours,
    panels,
    paper,
    save,
    scale_of,
)
from a3crepro.results import select
from a3crepro.statistics import best

SETTINGS = {
    "racing/slow": "Slow car, no bots", "racing/slow_bots": "Slow car, bots", "racing/fast": "Fast car, no bots",
    "racing/fast_bots": "Fast car, bots",
}  # fmt: skip
HUMAN = {"Slow car, no bots": 4553.0, "Slow car, bots": 4556.0, "Fast car, no bots": 5472.0, "Fast car, bots": 5534.0}
"""The paper's human tester's lines, read off Figure S6."""
EXPERT = {"racing/slow": 160.1, "racing/slow_bots": 150.4, "racing/fast": 167.5, "racing/fast_bots": 132.8}
"""Mean scores of the scripted driver: `python -m a3crepro.evaluate env=racing/… policy=expert episodes=30 seed=0`."""
RANDOM = {"racing/slow": 2.8, "racing/slow_bots": 2.7, "racing/fast": 2.9, "racing/fast_bots": 2.6}
"""And of a random policy: `policy=random`."""


def paper_shares() -> pd.DataFrame:
    """The paper's curves as shares of its human tester's score."""
    table = paper("figs6_torcs")
    return table.assign(share=table["score"] / table["setting"].map(HUMAN))


def our_shares(mine: Ours | None) -> pd.DataFrame:
    """Evaluations as shares of the expert's score, of each method's best rates in a setting."""
    if mine is None:
        return pd.DataFrame(columns=["setting", "method", "run", "frames", "share"])
    groups = mine.runs.groupby(["env", "method"])
    chosen = [runs["run"].to_numpy()[best(runs["score"].to_numpy(float), mine.notes["best"])] for _, runs in groups]
    scores = mine.evaluations()
    scores = scores[scores["run"].isin(np.concatenate(chosen))]
    return scores.assign(setting=scores["env"].map(SETTINGS), share=scores["score"] / scores["env"].map(EXPERT))


def draw(axes: Axes, table: pd.DataFrame, setting: str, x: str) -> None:
    """A line a method: the mean of its runs."""
    for method, name in METHODS.items():
        curve = select(table, setting=setting, method=method).groupby(x)["share"].mean()
        if len(curve):
            axes.plot(curve.index, curve, color=COLORS[method], dashes=DASHES[method], linewidth=1.2, label=name)
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    axes.set(title=setting, ylim=(-0.1, 1.15))


def main() -> None:
    """Draws the figure and writes the table of last shares."""
    scale = scale_of(sys.argv[1:])
    mine = ours("racing", scale)
    theirs, own = paper_shares(), our_shares(mine)
    own = own.assign(million_frames=own["frames"].astype(float) / 1e6)
    figure, grid = panels(list(HUMAN), 2 if mine else 1, 2.6, 2.2)
    for axes, setting in zip(grid[0], HUMAN, strict=True):
        draw(axes, theirs, setting, "hours")
        axes.set_xlabel("hours")
    for axes, setting in zip(grid[1] if mine else (), HUMAN, strict=False):
        draw(axes, own, setting, "million_frames")
        axes.set(title=f"{setting}, ours", xlabel="million frames")
    grid[0][0].set_ylabel("share of the human tester")
    if mine:
        grid[1][0].set_ylabel("share of the expert")
    legend_below(figure, grid[0][:1])
    rows = [row(theirs, setting, "hours", setting) for setting in HUMAN]
    rows += [row(own, setting, "frames", f"{setting}, ours") for setting in HUMAN if mine]
    caption = (
        "Greatest share of the reference player's score on the way, the mean of the runs shown: the paper's human "
        f"tester, our scripted driver. {mine.caption() if mine else NOTHING}"
    )
    save(figure, "racing", scale, markdown(["setting", *METHODS.values()], rows), caption)


def row(table: pd.DataFrame, setting: str, x: str, title: str) -> list[str]:
    """The greatest shares of a setting."""
    curves = (select(table, setting=setting, method=method).groupby(x)["share"].mean() for method in METHODS)
    return [title, *(f"{curve.max():.0%}" if len(curve) else "–" for curve in curves)]


if __name__ == "__main__":
    run_command(main)
